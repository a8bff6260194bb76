//! Uploads to S3 that were begun and never ended. `object_store` aborts one that it is given, and lists none:
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListMultipartUploads.html>.

use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3, AwsAuthorizer};
use object_store::client::{HttpConnector, HttpRequest, HttpRequestBody, ReqwestConnector};
use object_store::multipart::MultipartStore;
use object_store::path::Path;
use object_store::signer::Signer;
use object_store::{ClientOptions, Error as StoreError, Result};

use crate::storage::paths;

/// The uploads below a prefix of a bucket.
pub(crate) struct S3Uploads {
    pub(super) store: Arc<AmazonS3>,
    pub(super) region: String,
    pub(super) client: ClientOptions,
    /// Of the lake.
    pub(super) prefix: Path,
}

/// An upload that was not ended, with the object that it was to become.
#[derive(Debug, PartialEq, Eq)]
struct OpenUpload {
    key: String,
    id: String,
}

impl S3Uploads {
    /// Those below a folder.
    pub(super) fn below(&self, folder: &Path) -> Self {
        let prefix = Path::from_iter(self.prefix.parts().chain(folder.parts()));
        Self { store: Arc::clone(&self.store), region: self.region.clone(), client: self.client.clone(), prefix }
    }

    /// Counts the uploads of this program's data files and bundles.
    pub(super) async fn count(&self) -> Result<usize> {
        Ok(self.list().await?.len())
    }

    /// Aborts the uploads of this program's data files and bundles. Returns how many.
    pub(super) async fn abort(&self) -> Result<usize> {
        let open = self.list().await?;
        for OpenUpload { key, id } in &open {
            let path = Path::parse(key)?;
            match self.store.abort_multipart(&path, id).await {
                // Another tool was faster.
                Ok(()) | Err(StoreError::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
            tracing::info!(%path, "aborted an upload that was never ended");
        }
        Ok(open.len())
    }

    async fn list(&self) -> Result<Vec<OpenUpload>> {
        let client = ReqwestConnector::default().connect(&self.client)?;
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let request = self.list_request(after.as_ref()).await?;
            let answer = client.execute(request).await.map_err(|error| failed(error.into()))?;
            let status = answer.status();
            let text = answer.into_body().bytes().await.map_err(|error| failed(error.into()))?;
            let text = String::from_utf8_lossy(&text);
            if !status.is_success() {
                return Err(failed(format!("uploads cannot be listed: {status}").into()));
            }
            found.extend(open_uploads(&text).into_iter().filter(|upload| self.is_own(&upload.key)));
            after = match (element(&text, "NextKeyMarker"), element(&text, "NextUploadIdMarker")) {
                (Some(key), Some(id)) if element(&text, "IsTruncated").as_deref() == Some("true") => {
                    Some(OpenUpload { key, id })
                }
                _ => return Ok(found),
            };
        }
    }

    async fn list_request(&self, after: Option<&OpenUpload>) -> Result<HttpRequest> {
        let mut request = HttpRequest::new(HttpRequestBody::empty());
        // The bucket's own URL, by whatever rule it is made.
        let (method, bucket) = (request.method().clone(), Path::default());
        let mut url = self.store.signed_url(method, &bucket, Duration::from_secs(60)).await?;
        url.set_query(None);
        // A lake may be a whole bucket.
        let prefix = if self.prefix.as_ref().is_empty() { String::new() } else { format!("{}/", self.prefix) };
        url.query_pairs_mut().append_pair("prefix", &prefix).append_pair("uploads", "");
        if let Some(OpenUpload { key, id }) = after {
            url.query_pairs_mut().append_pair("key-marker", key).append_pair("upload-id-marker", id);
        }
        *request.uri_mut() = url.as_str().parse().map_err(|_| failed("the bucket has no valid URL".into()))?;
        let credential = self.store.credentials().get_credential().await?;
        AwsAuthorizer::new(&credential, "s3", &self.region).authorize(&mut request, None);
        Ok(request)
    }

    /// Whether this program writes such a file.
    fn is_own(&self, key: &str) -> bool {
        let within = key.strip_prefix(self.prefix.as_ref()).map(|within| within.trim_start_matches('/'));
        within.is_some_and(paths::is_own_upload)
    }
}

fn failed(source: Box<dyn std::error::Error + Send + Sync>) -> StoreError {
    StoreError::Generic { store: "S3", source }
}

/// The uploads in an answer of `ListMultipartUploads`.
fn open_uploads(answer: &str) -> Vec<OpenUpload> {
    let uploads = answer.split("<Upload>").skip(1);
    uploads.filter_map(|of| Some(OpenUpload { key: element(of, "Key")?, id: element(of, "UploadId")? })).collect()
}

/// The text of the first element of that name.
fn element(xml: &str, name: &str) -> Option<String> {
    let (_, after) = xml.split_once(&format!("<{name}>"))?;
    let (text, _) = after.split_once(&format!("</{name}>"))?;
    let entities = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&amp;", "&")];
    Some(entities.iter().fold(text.to_owned(), |text, (entity, character)| text.replace(entity, character)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_names_its_uploads() {
        let answer = "<?xml version=\"1.0\"?><ListMultipartUploadsResult><Bucket>b</Bucket><KeyMarker></KeyMarker>
            <IsTruncated>true</IsTruncated><NextKeyMarker>a&amp;b/c</NextKeyMarker>
            <Upload><Key>a&amp;b/c</Key><UploadId>1-2_3</UploadId><Initiator/></Upload>
            <Upload><Key>d</Key><UploadId>4</UploadId></Upload></ListMultipartUploadsResult>";
        let upload = |key: &str, id: &str| OpenUpload { key: key.to_owned(), id: id.to_owned() };
        assert_eq!(open_uploads(answer), [upload("a&b/c", "1-2_3"), upload("d", "4")]);
        assert_eq!(element(answer, "NextKeyMarker").as_deref(), Some("a&b/c"));
        assert!(open_uploads("<ListMultipartUploadsResult/>").is_empty());
    }
}
