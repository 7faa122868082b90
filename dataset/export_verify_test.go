package dataset

import "github.com/millwright-ml/millwright/dataset/blob"

// Unopened is a dataset of which nothing was read yet.
func Unopened(s blob.Store, name string) *Dataset { return New(s, nil).dataset(name) }
