//! A network described once: graph, parameters, masked forward, cost.
