/* Nesterov's momentum in torch's form, whose parameter is the lookahead point itself.
 * Sutskever, Martens, Dahl & Hinton, "On the importance of initialization and momentum
 * in deep learning", ICML 2013, equations 3 and 4, in the variable p + momentum z. All
 * else is sgd_momentum.h. */
#define RULE sgd_nesterov
#define NESTEROV 1
#include "sgd_momentum.h"
