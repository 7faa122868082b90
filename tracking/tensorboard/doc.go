// Package tensorboard turns the metrics of a run into the event files that
// TensorBoard shows, and event files into metrics of a run.
//
// Export writes one folder a run, so that tensorboard --logdir shows several
// side by side, with the run's params in its HPARAMS tab. Import reads the
// event files of a folder: those of TensorFlow, PyTorch, Keras, JAX and of
// Export. Writer and Read are the format itself, for programs that train and
// want both.
//
// An event file is a sequence of records: a length with its checksum, a
// protocol buffer message, its checksum. Every checksum is verified. A file
// that ends in the middle of a record is one that is still being written, or
// whose writer died; what is before that is read.
//
// TensorBoard's usual scalars have 32 bits. So numbers lose digits on the way
// to an event file, unless Exact is set, which not every reader understands.
//
// The package links the standard library only.
package tensorboard
