//! Link actors, the MQTT client to the remote cluster, buffers on disk.
