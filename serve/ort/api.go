package ort

import "unsafe"

// apiVersion is the table of functions that is asked for, that of ONNX Runtime
// 1.18. Tables grow at their ends only, so each later library has it.
const (
	apiVersion = 18
	oldest     = "1.18"
)

// The places of the functions in the table, as they stand in struct OrtApi of
// onnxruntime_c_api.h.
const (
	fnGetErrorCode                    = 1
	fnGetErrorMessage                 = 2
	fnCreateEnv                       = 3
	fnCreateSessionFromArray          = 8
	fnRun                             = 9
	fnCreateSessionOptions            = 10
	fnSetIntraOpNumThreads            = 24
	fnSetInterOpNumThreads            = 25
	fnSessionGetInputCount            = 30
	fnSessionGetOutputCount           = 31
	fnSessionGetInputTypeInfo         = 33
	fnSessionGetOutputTypeInfo        = 34
	fnSessionGetInputName             = 36
	fnSessionGetOutputName            = 37
	fnCreateRunOptions                = 39
	fnRunOptionsSetTerminate          = 46
	fnRunOptionsUnsetTerminate        = 47
	fnCreateTensorAsOrtValue          = 48
	fnCreateTensorWithDataAsOrtValue  = 49
	fnGetTensorMutableData            = 51
	fnGetStringTensorDataLength       = 53
	fnGetStringTensorContent          = 54
	fnCastTypeInfoToTensorInfo        = 55
	fnGetOnnxTypeFromTypeInfo         = 56
	fnGetTensorElementType            = 60
	fnGetDimensionsCount              = 61
	fnGetDimensions                   = 62
	fnGetTensorTypeAndShape           = 65
	fnCreateCPUMemoryInfo             = 69
	fnAllocatorFree                   = 76
	fnGetAllocatorWithDefaultOptions  = 78
	fnGetValue                        = 80
	fnGetValueCount                   = 81
	fnReleaseEnv                      = 92
	fnReleaseStatus                   = 93
	fnReleaseMemoryInfo               = 94
	fnReleaseSession                  = 95
	fnReleaseValue                    = 96
	fnReleaseRunOptions               = 97
	fnReleaseTypeInfo                 = 98
	fnReleaseTensorTypeAndShapeInfo   = 99
	fnReleaseSessionOptions           = 100
	fnCastTypeInfoToMapTypeInfo       = 103
	fnCastTypeInfoToSequenceTypeInfo  = 104
	fnGetMapValueType                 = 106
	fnGetSequenceElementType          = 107
	fnGetAvailableProviders           = 125
	fnReleaseAvailableProviders       = 126
	fnAddSessionConfigEntry           = 130
	fnAddRunConfigEntry               = 165
	fnAppendExecutionProviderCUDA     = 204
	fnCreateCUDAProviderOptions       = 205
	fnUpdateCUDAProviderOptions       = 206
	fnReleaseCUDAProviderOptions      = 208
	fnGetResizedStringElementBuffer   = 252
	fnAddExternalInitializersInMemory = 279
	functionCount                     = 280
)

// api is the table of functions.
type api struct{ table *[functionCount]uintptr }

func (a *api) fn(place int) uintptr { return a.table[place] }

// pointer is an address in the library's memory.
func pointer(address uintptr) unsafe.Pointer {
	// The address is none of Go's, so that Go's collector does not mind it.
	return *(*unsafe.Pointer)(unsafe.Pointer(&address))
}

// at is the address of a value of the library's.
func at(p unsafe.Pointer) uintptr { return uintptr(p) }
