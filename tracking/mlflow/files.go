package mlflow

import (
	"errors"
	"io"
	"io/fs"
)

// contentOf returns f for http.ServeContent, which reads forward from one
// offset at a time. A file that cannot seek is read forward and sent whole.
func contentOf(f fs.File, info fs.FileInfo) io.ReadSeeker {
	if rs, ok := f.(io.ReadSeeker); ok {
		return rs
	}
	return &forward{r: f, size: info.Size()}
}

// forward seeks by reading on.
type forward struct {
	r        io.Reader
	at, want int64
	size     int64
}

func (f *forward) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += f.want
	case io.SeekEnd:
		offset += f.size
	}
	if offset < 0 {
		return 0, errors.New("mlflow: seek before the start of a file")
	}
	f.want = offset
	return offset, nil
}

func (f *forward) Read(p []byte) (int, error) {
	if f.want < f.at {
		return 0, errors.New("mlflow: a file of the web UI cannot be read backwards")
	}
	if n := f.want - f.at; n > 0 {
		skipped, err := io.CopyN(io.Discard, f.r, n)
		f.at += skipped
		if err != nil {
			return 0, err
		}
	}
	n, err := f.r.Read(p)
	f.at += int64(n)
	f.want = f.at
	return n, err
}
