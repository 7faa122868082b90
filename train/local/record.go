package local

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/millwright-ml/millwright/train"
)

const (
	format       = 2
	maxStateFile = 64 << 10
	maxSpecFile  = 2 << 20
	recordFile   = "job.json"
	specFile     = "spec.json"
	scriptFile   = "supervisor.sh"
)

// record is job.json: what Submit resolved, so that whoever begins the job later
// begins the same one.
type record struct {
	Format    int           `json:"format"`
	ID        string        `json:"id"`
	Key       string        `json:"key,omitempty"`
	Hash      string        `json:"hash"`
	Submitted time.Time     `json:"submitted"`
	Program   string        `json:"program"` // absolute path of Command[0]
	Dir       string        `json:"dir"`     // absolute working directory
	Port      int           `json:"port"`    // where rank 0 listens
	Deadline  time.Duration `json:"deadline,omitempty"`
	Tools     tools         `json:"tools"`
	Spec      train.Spec    `json:"spec"`
}

// tools are absolute paths of programs that the supervisor needs; empty: absent.
type tools struct {
	Sleep  string `json:"sleep,omitempty"`
	Setsid string `json:"setsid,omitempty"`
	Flock  string `json:"flock,omitempty"`
}

func findTools() tools {
	find := func(name string) string {
		path, err := exec.LookPath(name)
		if err != nil || !filepath.IsAbs(path) {
			return ""
		}
		return path
	}
	return tools{Sleep: find("sleep"), Setsid: find("setsid"), Flock: find("flock")}
}

// resolve finds the directory and the program, and says all that is wrong.
func resolve(spec train.Spec) (dir, program string, err error) {
	if len(spec.Command) == 0 {
		return "", "", fmt.Errorf("command is empty, and only a cluster runs images: %w", train.ErrInvalid)
	}
	dir, err = filepath.Abs(spec.Dir)
	if err != nil {
		return "", "", err
	}
	if info, err := os.Stat(dir); err != nil {
		return "", "", fmt.Errorf("dir: %w: %w", err, train.ErrInvalid)
	} else if !info.IsDir() {
		return "", "", fmt.Errorf("dir %q is not a directory: %w", dir, train.ErrInvalid)
	}
	path, ok := spec.Env["PATH"]
	if !ok {
		path = os.Getenv("PATH") //nolint:forbidigo // the job inherits this environment, so its program is looked for there
	}
	program, err = lookup(spec.Command[0], dir, path)
	return dir, program, err
}

// lookup finds the program as the job itself would: below its directory, or in
// its PATH.
func lookup(name, dir, path string) (string, error) {
	if strings.Contains(name, "/") {
		if !filepath.IsAbs(name) {
			name = filepath.Join(dir, name)
		}
		if err := executable(name); err != nil {
			return "", fmt.Errorf("command: %w: %w", err, train.ErrInvalid)
		}
		return name, nil
	}
	for _, d := range filepath.SplitList(path) {
		if !filepath.IsAbs(d) { // as in os/exec: a relative PATH entry is a trap
			continue
		}
		if p := filepath.Join(d, name); executable(p) == nil {
			return p, nil
		}
	}
	return "", fmt.Errorf("command %q is not in PATH (%s): %w: %w", name, path, exec.ErrNotFound, train.ErrInvalid)
}

func executable(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if info.IsDir() || info.Mode()&0o111 == 0 {
		return &fs.PathError{Op: "execute", Path: path, Err: fs.ErrPermission}
	}
	return nil
}

// writeRecord writes the files that a job's folder begins with. The record's
// time of change is the time of submission, by which List sorts.
func writeRecord(dir string, rec record) error {
	for name, v := range map[string]any{recordFile: rec, specFile: rec.Spec} {
		data, err := json.MarshalIndent(v, "", "  ")
		if err != nil {
			return err
		}
		if err := writeFile(filepath.Join(dir, name), append(data, '\n')); err != nil {
			return err
		}
	}
	if err := writeFile(filepath.Join(dir, scriptFile), []byte(supervisor)); err != nil {
		return err
	}
	if err := os.Chtimes(filepath.Join(dir, recordFile), rec.Submitted, rec.Submitted); err != nil {
		return err
	}
	return syncDir(dir)
}

func readRecord(dir string) (record, error) {
	data, err := readFile(filepath.Join(dir, recordFile), maxSpecFile)
	if err != nil {
		return record{}, err
	}
	rec, err := parseRecord(data)
	if err != nil {
		return record{}, err
	}
	if rec.ID != filepath.Base(dir) {
		return record{}, fmt.Errorf("%s is of job %q: %w", recordFile, rec.ID, train.ErrInvalid)
	}
	return rec, nil
}

func parseRecord(data []byte) (record, error) {
	var head struct {
		Format int `json:"format"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return record{}, fmt.Errorf("%s: %w: %w", recordFile, err, train.ErrInvalid)
	}
	if head.Format != format {
		return record{}, fmt.Errorf("%s has format %d, this version knows %d: %w", recordFile, head.Format, format, train.ErrUnsupported)
	}
	var rec record
	if err := json.Unmarshal(data, &rec); err != nil {
		return record{}, fmt.Errorf("%s: %w: %w", recordFile, err, train.ErrInvalid)
	}
	if !train.ValidJobID(rec.ID) || rec.Hash == "" || !filepath.IsAbs(rec.Program) || !filepath.IsAbs(rec.Dir) {
		return record{}, fmt.Errorf("%s is incomplete: %w", recordFile, train.ErrInvalid)
	}
	if err := rec.Spec.Validate(); err != nil {
		return record{}, err
	}
	if len(rec.Spec.Command) == 0 {
		return record{}, fmt.Errorf("%s has no command: %w", recordFile, train.ErrInvalid)
	}
	return rec, nil
}
