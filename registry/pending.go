package registry

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/millwright-ml/millwright/internal/errs"
)

// Declare makes the next version of the model name out of the draft without
// its files, which must be nil, and returns it. With pending its files follow:
// Complete makes the version Ready, UpdateVersion with Failed gives it up.
// Otherwise it is Ready and stays without files, like a version whose Source
// this process cannot read, or a prompt. Errors as for Register.
func (r *Registry) Declare(ctx context.Context, name string, d Draft, pending bool) (*Version, error) {
	op := fmt.Sprintf("declare a version of %q", cut(name))
	var faults errs.Faults
	checkName(&faults, name)
	faults.Check(d.Files == nil && len(d.Profile) == 0, "the draft has files")
	d.Files = noFiles{}
	checkDraft(&faults, &d)
	if err := faults.Err("registry: " + op); err != nil {
		return nil, err
	}
	signature, err := compact(d.Signature)
	if err != nil {
		return nil, fmt.Errorf("registry: %s: signature: %w", op, err)
	}
	status := Ready
	if pending {
		status = Pending
	}
	v := d.version(name, status)
	v.Signature, v.Digest = signature, ManifestDigest(nil)
	got, err := r.store.CreateVersion(ctx, v, "")
	if err != nil {
		return nil, fmt.Errorf("registry: %s: %w", op, err)
	}
	return got, nil
}

// version is the record that the draft asks for, without files and signature.
func (d *Draft) version(name string, status Status) *Version {
	return &Version{
		Name: name, Created: now(), Framework: d.Framework, Flavor: d.Flavor, Run: d.Run,
		Datasets: d.Datasets, Metrics: d.Metrics, Tags: d.Tags, Key: d.Key,
		Code: d.Code, License: d.License, Golden: d.Golden, Source: d.Source, LoggedModel: d.LoggedModel,
		User: d.User, Description: d.Description, Status: status,
	}
}

// Complete stores the files of a Pending version, as Register does, and makes
// it Ready. It may be called again after a crash. ErrConflict when the version
// is not Pending, or no longer.
func (r *Registry) Complete(ctx context.Context, name string, number int, files fs.FS) error {
	op := fmt.Sprintf("complete version %d of %q", number, cut(name))
	if err := r.needFiles(op); err != nil {
		return err
	}
	v, err := r.Version(ctx, name, number)
	if err != nil {
		return err
	}
	if v.Status != Pending {
		return fmt.Errorf("registry: %s: the version is %s: %w", op, v.Status, ErrConflict)
	}
	var faults errs.Faults
	d := Draft{Files: files}
	faults.Check(files != nil, "the files are nil")
	paths, err := r.walk(ctx, &faults, &d)
	if err != nil {
		return fmt.Errorf("registry: %s: reading the files: %w", op, err)
	}
	if err := faults.Err("registry: " + op); err != nil {
		return err
	}
	lease := newLease()
	stored, err := r.upload(ctx, name, &d, paths, lease)
	if err != nil {
		if _, ok := errors.AsType[*DigestError](err); ok {
			return err
		}
		return fmt.Errorf("registry: %s: %w", op, err)
	}
	return r.UpdateVersion(ctx, name, number, VersionUpdate{Status: Ready, Files: stored, Lease: lease})
}

// noFiles is a file system without files.
type noFiles struct{}

func (noFiles) Open(name string) (fs.File, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}
