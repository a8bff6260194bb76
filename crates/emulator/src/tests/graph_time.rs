//! graph_time
