// Package sysmetrics records how busy the machine is while a run trains: CPU,
// memory, disk, network and NVIDIA GPUs, as metrics of the run with the names
// and units that MLflow's Python client uses, so that the web UI charts them:
//
//	system/cpu_utilization_percentage
//	system/system_memory_usage_megabytes    system/system_memory_usage_percentage
//	system/disk_usage_megabytes             system/disk_usage_percentage
//	system/disk_available_megabytes
//	system/network_receive_megabytes        system/network_transmit_megabytes
//	system/gpu_0_utilization_percentage
//	system/gpu_0_memory_usage_megabytes     system/gpu_0_memory_usage_percentage
//	system/gpu_0_power_usage_watts          system/gpu_0_power_usage_percentage
//
// CPU is the share of all cores since the sample before; network is what all
// interfaces together moved since Run began; the rest is the state at the
// sample. A megabyte is 1,000,000 bytes. All of it is of the whole machine, also
// inside a container.
//
// The numbers come from /proc and from the program nvidia-smi, where there is
// one. The package works on Linux and links the standard library only.
package sysmetrics
