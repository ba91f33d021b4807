/* AdamW. Loshchilov & Hutter, "Decoupled weight decay regularization",
 * arXiv:1711.05101, Algorithm 2, in the form that everyone uses: the decay is scaled by
 * lr and shrinks the parameter, not the gradient. All else is adam.h. */
#define RULE adamw
#define DECOUPLED 1
#include "adam.h"
