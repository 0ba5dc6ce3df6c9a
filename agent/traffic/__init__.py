"""The weighted split between stable and candidate: one HAProxy for each workload that has one."""
