//! graph_faults
