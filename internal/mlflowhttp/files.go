package mlflowhttp

import (
	"mime"
	"net/http"
	"path"
	"strings"
)

// Attachment sets the headers of a file for saving.
func Attachment(header http.Header, name string) {
	header.Set("Content-Type", contentType(name))
	header.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": name}))
	header.Set("Content-Security-Policy", "sandbox; default-src 'none'")
	header.Set("Cache-Control", "no-cache")
}

// textExtensions are the files that MLflow's UI shows as text, whatever else
// they are.
const textExtensions = " txt log err cfg conf cnf cf ini properties prop hocon toml yaml yml xml json js py py3 csv tsv md rst ipynb MLmodel MLproject "

// contentTypes are the types of other files. It is a table of its own since
// that of package mime depends on the machine.
var contentTypes = map[string]string{
	"html": "text/html", "htm": "text/html", "css": "text/css",
	"png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "gif": "image/gif", "svg": "image/svg+xml",
	"webp": "image/webp", "bmp": "image/bmp", "tif": "image/tiff", "tiff": "image/tiff", "ico": "image/vnd.microsoft.icon",
	"mp3": "audio/mpeg", "wav": "audio/x-wav", "ogg": "audio/ogg", "flac": "audio/flac",
	"mp4": "video/mp4", "webm": "video/webm", "mov": "video/quicktime", "avi": "video/x-msvideo", "mpeg": "video/mpeg",
	"pdf": "application/pdf", "zip": "application/zip", "tar": "application/x-tar", "gz": "application/gzip",
	"mjs": "text/javascript", "wasm": "application/wasm", "doc": "application/msword", "xls": "application/vnd.ms-excel",
	"geojson": "application/geo+json", "h5": "application/x-hdf5", "hdf5": "application/x-hdf5", "sh": "application/x-sh",
}

// contentType tells a file's type by its name.
func contentType(name string) string {
	ext := strings.TrimPrefix(path.Ext(name), ".")
	if ext == "" {
		ext = name
	}
	if strings.Contains(textExtensions, " "+ext+" ") {
		return "text/plain"
	}
	if t, ok := contentTypes[strings.ToLower(ext)]; ok {
		return t
	}
	return "application/octet-stream"
}
