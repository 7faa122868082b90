// Package trees answers with the tree ensembles of the gradient boosting
// libraries, in Go alone: no cgo, no shared library, no process beside.
//
//	model, err := trees.Load(files, nil)
//	model.Predict(dst, rows) // directly, or as a serve.Model behind a server
//
// # Formats
//
//   - XGBoost: JSON and UBJSON, which save_model writes (boosters gbtree and
//     dart, all objectives, categorical splits, several classes and targets).
//   - LightGBM: the text that save_model writes (gbdt, dart and rf, all
//     objectives, the three ways of missing values, categorical splits).
//   - CatBoost: JSON (symmetric and other trees, one-hot categories that are
//     whole numbers).
//   - ONNX: a graph that is one TreeEnsembleClassifier or -Regressor, which
//     skl2onnx makes of scikit-learn's forests, boosted trees and trees. It
//     answers what ONNX Runtime does, the classes included.
//
// Refused so far: linear leaves of LightGBM, statistics of categories (CTR), texts
// and embeddings of CatBoost, vectors for leaves of XGBoost. What cannot be computed as the library does is refused at load with
// [ErrUnsupported] and its name.
//
// # Exactness
//
// Sums and answers are those of the library to the last bit, for single rows and
// for many: the same width of numbers, the same order of additions, the same
// exponential (that of Linux's C library). CatBoost has an exponential of its own:
// its sums are the same, its probabilities differ by 1e-14 of their size at most.
// Missing values are NaN.
//
// # Hostile files
//
// Indices, sizes, thresholds and nesting are checked, and that nodes form trees.
// Memory is bounded by the file's size, and that by [Options].MaxBytes.
//
// # Speed
//
// Trees are evaluated without branches on data, eight at a time for one row and
// eight rows at a time for many; [Model.Predict] does not allocate.
package trees
