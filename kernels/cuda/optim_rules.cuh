// The optimizers' formulas, once for both devices: each rule changes one parameter p (or a vector of
// them) by its gradient g and its states s.
//
// A rule is its numbers in order, as the host gives them (engine/optim computes them in float64), and
// step(). Value is T or a vector of T. Before including this file a device defines GS_RULE (how its
// functions are inlined) and square_root(Value). What is common to all optimizers stands in Common:
// clipping, maximize, both kinds of weight decay.
//
// Source: torch.optim's single-tensor formulas; each optimizer's paper is named in engine/optim.
#pragma once

// NaN wins.
template <class Value>
GS_RULE Value larger(Value a, Value b) {
  return ((a > b) | (a != a)) ? a : b;
}

template <class Value>
GS_RULE Value smaller(Value a, Value b) {
  return ((a < b) | (a != a)) ? a : b;
}

template <class Value>
GS_RULE Value magnitude(Value a) {
  const Value negative = -a;
  return a < Value{} ? negative : a + Value{};
}

// -1, 0 or 1; NaN of NaN.
template <class Value>
GS_RULE Value sign_of(Value a) {
  const Value zero{}, one = zero + 1, minus_one = zero - 1;
  const Value negative_or_zero = a < zero ? minus_one : a + zero;
  return a > zero ? one : negative_or_zero;
}

// g = clip(gradient) * scale + weight_decay * p; p = p * shrink. Then the rule. A clip_value below 0
// is none.
template <class T>
struct Common {
  T scale, clip_value, max_norm, weight_decay, shrink;

  template <class Value>
  GS_RULE void apply(Value& p, Value& g) const {
    if (clip_value >= T(0)) {
      const Value high = Value{} + clip_value, low = -high;
      g = smaller(larger(g, low), high);
    }
    g = g * scale;
    if (weight_decay != T(0)) g = g + p * weight_decay;
    p = p * shrink;
  }

  // Takes the share that a total norm of the gradients leaves: max_norm / norm, at most 1.
  template <class Norm>
  GS_RULE void clip(Norm norm) {
    const Norm share = static_cast<Norm>(max_norm) / (norm + static_cast<Norm>(1e-6));
    if (!(share >= Norm(1))) scale = scale * static_cast<T>(share);
  }
};

// b = momentum * b + gradient_share * g, at first b = g; p -= lr * b (Nesterov: g + momentum * b).
template <class T>
struct Sgd {
  T lr, momentum, gradient_share, nesterov, first;

  template <class Value>
  GS_RULE void step(Value& p, Value g, Value (&s)[3]) const {
    if (momentum != T(0)) {
      s[0] = first != T(0) ? g : s[0] * momentum + g * gradient_share;
      g = nesterov != T(0) ? g + s[0] * momentum : s[0];
    }
    p = p - g * lr;
  }
};

// sum += g^2; p -= lr * g / (sqrt(sum) + eps).
template <class T>
struct Adagrad {
  T lr, eps;

  template <class Value>
  GS_RULE void step(Value& p, Value g, Value (&s)[3]) const {
    s[0] = s[0] + g * g;
    p = p - g * lr / (square_root(s[0]) + eps);
  }
};

// a = rho * a + (1 - rho) * g^2; d = g * sqrt(b + eps) / sqrt(a + eps);
// b = rho * b + (1 - rho) * d^2; p -= lr * d.
template <class T>
struct Adadelta {
  T lr, rho, one_minus_rho, eps;

  template <class Value>
  GS_RULE void step(Value& p, Value g, Value (&s)[3]) const {
    s[0] = s[0] * rho + g * g * one_minus_rho;
    const Value d = g * square_root(s[1] + eps) / square_root(s[0] + eps);
    s[1] = s[1] * rho + d * d * one_minus_rho;
    p = p - d * lr;
  }
};

// a = alpha * a + (1 - alpha) * g^2; r = sqrt(a) + eps, centered sqrt(a - m^2) + eps with the
// gradient's average m; b = momentum * b + g / r; p -= lr * b, without momentum lr * g / r.
template <class T>
struct Rmsprop {
  T lr, alpha, one_minus_alpha, eps, momentum, centered;

  template <class Value>
  GS_RULE void step(Value& p, Value g, Value (&s)[3]) const {
    s[0] = s[0] * alpha + g * g * one_minus_alpha;
    Value power = s[0];
    if (centered != T(0)) {
      s[2] = s[2] + (g - s[2]) * one_minus_alpha;
      power = power - s[2] * s[2];
    }
    g = g / (square_root(power) + eps);
    if (momentum != T(0)) g = s[1] = s[1] * momentum + g;
    p = p - g * lr;
  }
};

// m += (1 - beta1) * (g - m); v = beta2 * v + (1 - beta2) * g^2;
// p -= step_size * m / (sqrt(v) * inverse_root + eps). AMSGrad: the largest v so far.
template <class T>
struct Adam {
  T step_size, one_minus_beta1, beta2, one_minus_beta2, inverse_root, eps, amsgrad;

  template <class Value>
  GS_RULE void step(Value& p, Value g, Value (&s)[3]) const {
    s[0] = s[0] + (g - s[0]) * one_minus_beta1;
    s[1] = s[1] * beta2 + g * g * one_minus_beta2;
    Value power = s[1];
    if (amsgrad != T(0)) power = s[2] = larger(s[2], s[1]);
    p = p - s[0] * step_size / (square_root(power) * inverse_root + eps);
  }
};

// m += (1 - beta1) * (g - m); u = max(beta2 * u, |g| + eps); p -= step_size * m / u.
template <class T>
struct Adamax {
  T step_size, one_minus_beta1, beta2, eps;

  template <class Value>
  GS_RULE void step(Value& p, Value g, Value (&s)[3]) const {
    s[0] = s[0] + (g - s[0]) * one_minus_beta1;
    s[1] = larger(s[1] * beta2, magnitude(g) + eps);
    p = p - s[0] * step_size / s[1];
  }
};

// m, v as Adam; p -= (gradient_size * g + step_size * m) / (sqrt(v) * inverse_root + eps).
template <class T>
struct Nadam {
  T gradient_size, step_size, one_minus_beta1, beta2, one_minus_beta2, inverse_root, eps;

  template <class Value>
  GS_RULE void step(Value& p, Value g, Value (&s)[3]) const {
    s[0] = s[0] + (g - s[0]) * one_minus_beta1;
    s[1] = s[1] * beta2 + g * g * one_minus_beta2;
    const Value root = square_root(s[1]) * inverse_root + eps;
    p = p - (g * gradient_size + s[0] * step_size) / root;
  }
};

// m, v as Adam; p -= step_size * m, rectified also * root / (sqrt(v) + eps).
template <class T>
struct Radam {
  T step_size, one_minus_beta1, beta2, one_minus_beta2, root, eps, rectified;

  template <class Value>
  GS_RULE void step(Value& p, Value g, Value (&s)[3]) const {
    s[0] = s[0] + (g - s[0]) * one_minus_beta1;
    s[1] = s[1] * beta2 + g * g * one_minus_beta2;
    Value d = s[0] * step_size;
    if (rectified != T(0)) d = d * root / (square_root(s[1]) + eps);
    p = p - d;
  }
};

// p -= lr * sign(m + (1 - beta1) * (g - m)); m += (1 - beta2) * (g - m).
template <class T>
struct Lion {
  T lr, one_minus_beta1, one_minus_beta2;

  template <class Value>
  GS_RULE void step(Value& p, Value g, Value (&s)[3]) const {
    p = p - sign_of(s[0] + (g - s[0]) * one_minus_beta1) * lr;
    s[0] = s[0] + (g - s[0]) * one_minus_beta2;
  }
};

// The step size r grows by grow where g keeps its sign and shrinks by shrink where it changes it (which
// takes g for 0), within its limits; p -= r * sign(g). States: the last g, r.
template <class T>
struct Rprop {
  T shrink, grow, least, most;

  template <class Value>
  GS_RULE void step(Value& p, Value g, Value (&s)[3]) const {
    const Value zero{}, product = s[0] * g;
    const Value up = s[1] * grow, down = s[1] * shrink, same = s[1] + product * zero;
    const Value turned = product < zero ? down : same;
    const Value wanted = product > zero ? up : turned;
    s[1] = smaller(larger(wanted, zero + least), zero + most);
    g = product < zero ? zero : g + zero;
    p = p - sign_of(g) * s[1];
    s[0] = g;
  }
};

// p = decay * p - eta * g; its average a += mu * (p - a), at first a = p.
template <class T>
struct Asgd {
  T eta, decay, mu;

  template <class Value>
  GS_RULE void step(Value& p, Value g, Value (&s)[3]) const {
    p = p * decay - g * eta;
    s[0] = mu == T(1) ? p : s[0] + (p - s[0]) * mu;
  }
};

// p += weight * (g - p), from the nearer end: exactly g for weight 1. Averages of parameters.
template <class T>
struct Lerp {
  T weight, one_minus_weight;

  template <class Value>
  GS_RULE void step(Value& p, Value g, Value (&)[3]) const {
    p = weight < T(0.5) ? p + (g - p) * weight : g - (g - p) * one_minus_weight;
  }
};

// p = g: Common's clipping alone, of gradients.
template <class T>
struct Assign {
  T unused;

  template <class Value>
  GS_RULE void step(Value& p, Value g, Value (&)[3]) const {
    p = g;
  }
};
