package mlflowapi

// ListArtifacts is the request of GET artifacts/list.
type ListArtifacts struct {
	RunID     string `json:"run_id,omitempty"`
	RunUUID   string `json:"run_uuid,omitempty"` // the old name of RunID
	Path      string `json:"path,omitempty"`
	PageToken string `json:"page_token,omitempty"`
}

func (m *ListArtifacts) normalize() {
	if m.RunID == "" {
		m.RunID = m.RunUUID
	}
}

// ListProxiedArtifacts is the request of GET mlflow-artifacts/artifacts.
type ListProxiedArtifacts struct {
	Path string `json:"path,omitempty"`
}

// ListLoggedModelArtifacts is the request of GET
// logged-models/{model_id}/artifacts/directories.
type ListLoggedModelArtifacts struct {
	ArtifactDirectoryPath string `json:"artifact_directory_path,omitempty"`
	PageToken             string `json:"page_token,omitempty"`
}

// CreateMultipartUpload is the request of POST mlflow-artifacts/mpu/create.
// Path is the file on the client's machine, of which the name counts.
type CreateMultipartUpload struct {
	Path     string `json:"path" api:"required"`
	NumParts int64  `json:"num_parts" api:"required"`
}

// CreateMultipartUploadResponse answers it.
type CreateMultipartUploadResponse struct {
	UploadID    string                      `json:"upload_id"`
	Credentials []MultipartUploadCredential `json:"credentials"`
}

// MultipartUploadCredential says where to send a part.
type MultipartUploadCredential struct {
	URL        string            `json:"url"`
	PartNumber int64             `json:"part_number"`
	Headers    map[string]string `json:"headers"`
}

// CompleteMultipartUpload is the request of POST mlflow-artifacts/mpu/complete.
type CompleteMultipartUpload struct {
	Path     string                `json:"path" api:"required"`
	UploadID string                `json:"upload_id" api:"required"`
	Parts    []MultipartUploadPart `json:"parts" api:"required"`
}

// MultipartUploadPart is a part that was sent.
type MultipartUploadPart struct {
	PartNumber int64  `json:"part_number"`
	ETag       string `json:"etag"`
	URL        string `json:"url,omitempty"`
}

// AbortMultipartUpload is the request of POST mlflow-artifacts/mpu/abort.
type AbortMultipartUpload struct {
	Path     string `json:"path" api:"required"`
	UploadID string `json:"upload_id" api:"required"`
}

// PresignedDownload answers GET mlflow-artifacts/presigned. Clients fetch a file
// without a size whole, from the server.
type PresignedDownload struct {
	URL      string            `json:"url"`
	Headers  map[string]string `json:"headers"`
	FileSize *int64            `json:"file_size,omitempty"`
}

// CreatePresignedURL is the request of POST artifacts/presigned-upload-url and
// presigned-download-url.
type CreatePresignedURL struct {
	RunID      string `json:"run_id,omitempty"`
	ModelID    string `json:"model_id,omitempty"`
	Path       string `json:"path" api:"required"`
	Expiration *int64 `json:"expiration,omitempty"` // seconds
}

// CreatePresignedURLResponse answers it.
type CreatePresignedURLResponse struct {
	PresignedURL string            `json:"presigned_url"`
	Headers      map[string]string `json:"headers"`
	FileSize     *int64            `json:"file_size,omitempty"`
}
