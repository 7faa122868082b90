package local

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/millwright-ml/millwright/train"
)

const (
	format       = 1
	maxStateFile = 64 << 10
	maxSpecFile  = 2 << 20
)

// record is job.json: what Submit resolved, so that whoever begins the job later
// begins the same one.
type record struct {
	Format    int       `json:"format"`
	ID        string    `json:"id"`
	Key       string    `json:"key,omitempty"`
	Hash      string    `json:"hash"`
	Submitted time.Time `json:"submitted"`
	Program   string    `json:"program"`         // absolute path of Command[0]
	Dir       string    `json:"dir"`             // absolute working directory
	Sleep     string    `json:"sleep,omitempty"` // absolute path of sleep(1), for the deadline
}

// newRecord checks what can be known to be wrong before a process is made.
func newRecord(id, key string, spec train.Spec) (record, error) {
	dir, err := filepath.Abs(spec.Dir)
	if err != nil {
		return record{}, err
	}
	if info, err := os.Stat(dir); err != nil {
		return record{}, fmt.Errorf("dir: %w: %w", err, train.ErrInvalid)
	} else if !info.IsDir() {
		return record{}, fmt.Errorf("dir %q is not a directory: %w", dir, train.ErrInvalid)
	}
	path, ok := spec.Env["PATH"]
	if !ok {
		path = os.Getenv("PATH") //nolint:forbidigo // the job inherits this environment, so its program is looked for there
	}
	program, err := lookup(spec.Command[0], dir, path)
	if err != nil {
		return record{}, err
	}
	rec := record{
		Format: format, ID: id, Key: key, Hash: spec.Hash(), Submitted: time.Now().UTC(),
		Program: program, Dir: dir,
	}
	if spec.Deadline > 0 {
		if rec.Sleep, err = exec.LookPath("sleep"); err != nil {
			return record{}, fmt.Errorf("deadline: this system has no sleep command: %w", train.ErrUnsupported)
		}
	}
	return rec, nil
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

func writeRecord(dir string, rec record, spec train.Spec) error {
	for name, v := range map[string]any{"job.json": rec, "spec.json": spec} {
		data, err := json.MarshalIndent(v, "", "  ")
		if err != nil {
			return err
		}
		if err := writeFile(filepath.Join(dir, name), append(data, '\n')); err != nil {
			return err
		}
	}
	return syncDir(dir)
}

func readRecord(dir string) (record, train.Spec, error) {
	data, err := readFile(filepath.Join(dir, "job.json"), maxStateFile)
	if err != nil {
		return record{}, train.Spec{}, err
	}
	rec, err := parseRecord(data)
	if err != nil {
		return record{}, train.Spec{}, err
	}
	if rec.ID != filepath.Base(dir) {
		return record{}, train.Spec{}, fmt.Errorf("job.json is of job %q: %w", rec.ID, train.ErrInvalid)
	}
	file, err := os.Open(filepath.Join(dir, "spec.json"))
	if err != nil {
		return record{}, train.Spec{}, err
	}
	defer file.Close()
	spec, err := train.ReadSpec(file)
	return rec, spec, err
}

func parseRecord(data []byte) (record, error) {
	var rec record
	if err := json.Unmarshal(data, &rec); err != nil {
		return record{}, fmt.Errorf("job.json: %w: %w", err, train.ErrInvalid)
	}
	if rec.Format != format {
		return record{}, fmt.Errorf("job.json has format %d, this version knows %d: %w", rec.Format, format, train.ErrUnsupported)
	}
	if !validID(rec.ID) || rec.Hash == "" || !filepath.IsAbs(rec.Program) || !filepath.IsAbs(rec.Dir) {
		return record{}, fmt.Errorf("job.json is incomplete: %w", train.ErrInvalid)
	}
	return rec, nil
}

// validID keeps ids, which come from outside in Attach, from naming other folders.
func validID(id string) bool {
	rest, ok := strings.CutPrefix(id, "job-")
	return ok && len(rest) == 20 && strings.Trim(rest, "0123456789abcdef") == ""
}

// claim is the file by which exactly one supervisor takes a job. Its lines are
// "pid boot-id", the supervisor's /proc/<pid>/stat (empty where there is none),
// and "." as the mark that it is complete.
type claim struct {
	pid   int // 0: Cancel came first, and nothing ever ran
	boot  string
	start string // start time in clock ticks since boot: tells a reused pid apart
}

// deadClaim is the claim of nobody.
const deadClaim = "0 \n\n.\n"

func parseClaim(data []byte) (claim, bool) {
	lines := strings.SplitN(string(data), "\n", 4)
	if len(lines) != 4 || lines[2] != "." || lines[3] != "" {
		return claim{}, false
	}
	pid, boot, _ := strings.Cut(lines[0], " ")
	n, err := strconv.Atoi(pid)
	if err != nil || n < 0 || n == 1 {
		return claim{}, false
	}
	_, start, _ := parseStat(lines[1])
	return claim{pid: n, boot: boot, start: start}, true
}

// parseStat takes the state, start time and process group from a line of
// /proc/<pid>/stat. The command name before them may hold anything.
func parseStat(line string) (state, start, group string) {
	i := strings.LastIndexByte(line, ')')
	if i < 0 {
		return "", "", ""
	}
	fields := strings.Fields(line[i+1:])
	if len(fields) < 20 {
		return "", "", ""
	}
	return fields[0], fields[19], fields[2]
}

// outcome is the exit file: "exit N" by the supervisor, or, when that was killed,
// "signal N" or "lost" by the launcher that noticed.
type outcome struct {
	code   int // -1 when the command could not say
	signal int // 0 when none or unknown
}

func parseExit(data []byte) (outcome, bool) {
	line, complete := strings.CutSuffix(string(data), "\n")
	if !complete {
		return outcome{}, false
	}
	if line == "lost" {
		return outcome{code: -1}, true
	}
	kind, number, _ := strings.Cut(line, " ")
	n, err := strconv.Atoi(number)
	if err != nil || n < 0 || n > 255 {
		return outcome{}, false
	}
	switch {
	case kind == "signal" && n > 0:
		return outcome{code: -1, signal: n}, true
	case kind == "exit" && n > 128 && signalName(n-128) != "":
		return outcome{code: n, signal: n - 128}, true
	case kind == "exit":
		return outcome{code: n}, true
	}
	return outcome{}, false
}

// replaceFile writes the file whole or not at all, durably.
func replaceFile(path string, data []byte) error {
	temp, err := os.CreateTemp(filepath.Dir(path), tempPrefix)
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(temp.Name()) }() // gone already after the rename
	_, err = temp.Write(data)
	if err = errors.Join(err, temp.Sync(), temp.Close()); err != nil {
		return err
	}
	if err := os.Rename(temp.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// writeFile makes a new file, durably but for its name (see syncDir).
func writeFile(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Sync(), f.Close())
}

func readFile(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("%s is longer than %d bytes: %w", path, limit, train.ErrInvalid)
	}
	return data, err
}

// syncDir makes the names in a folder durable; opening the file itself for
// reading and syncing it makes its bytes durable, whoever wrote them.
func syncDir(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
