//! Flags of `worker`, and of the commands whose queries workers compute.

/// Who computes the queries of a command.
#[derive(clap::Args)]
pub(crate) struct WorkersArgs {
    /// Compute on these machines, each of which runs `copilot-lake worker` over this lake.
    #[cfg(feature = "workers")]
    #[arg(long, value_name = "URL,URL", value_delimiter = ',', value_parser = copilot_lake_query::worker_url)]
    pub(crate) workers: Vec<url::Url>,
}

/// Flags of `worker`.
#[cfg(feature = "workers")]
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  copilot-lake worker --lake /mnt/lake\n  copilot-lake worker --lake s3://bucket/lake --listen 0.0.0.0:8410 \\\n    \
    --tls-cert worker.pem --tls-key worker.key --set workers.token_file=token.txt\n\n\
    Reads its own configuration, and the lake with its own credentials; clients send plans, never secrets, and show the\n\
    token, as in `copilot-lake query active_users --workers https://10.0.0.7:8410,https://10.0.0.8:8410`. Runs until Ctrl-C."
)]
pub(crate) struct WorkerArgs {
    /// Address to listen on; port 0 takes a free one. Others than this machine's need a token and TLS.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8410")]
    pub(crate) listen: std::net::SocketAddr,
    /// The worker's certificate, PEM. Clients and other workers trust the system's authorities and `network.ca_file`.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(crate) tls_cert: Option<std::path::PathBuf>,
    /// The certificate's private key, PEM.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_key: Option<std::path::PathBuf>,
}
