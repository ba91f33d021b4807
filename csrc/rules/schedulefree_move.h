/* What schedule-free rules share; included by them after rule_begin.h. Not a rule.
 * Defazio et al., "The road less scheduled", arXiv:2405.15682, Algorithm 1, as their
 * code has it. The parameter is y = (1 - beta) z + beta x, where x is the average of
 * all z. */

/* gamma is this step's rate. c is the newest z's weight, with the largest gamma so far
 * to the power weight_lr_power, times t^r. */
RULE_HOST void K(average)(const HYPER *h, double t, double beta, double gamma,
                          SCALARS *kept, WIDE *c)
{
    c->weight =
        averaging(&kept->weight_sum, &kept->lr_max, gamma, t, h->r, h->weight_lr_power);
    c->back = gamma * (beta * (1 - c->weight) - 1);
    c->rate = gamma;
    c->decay_y = h->decay_at_z ? 0 : h->weight_decay;
    c->decay_z = h->decay_at_z ? h->weight_decay : 0;
}

/* d <- d + weight_decay y (or z), z' = z - gamma d, x' = (1 - c) x + c z', of which
 * only y' is kept: y + c (z - y) + gamma (beta (1 - c) - 1) d. */
RULE_FN T K(move)(T y, T d, STATE *s, const COEF *c)
{
    d = d + c->decay_y * y + c->decay_z * s->z;
    y = y + c->weight * (s->z - y) + c->back * d;
    s->z = s->z - c->rate * d;
    return y;
}
