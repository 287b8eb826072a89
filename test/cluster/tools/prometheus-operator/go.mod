module countersign.dev/test/cluster/tools/prometheus-operator

go 1.26.0

// No program: its definitions of ServiceMonitor and PrometheusRule.
require github.com/prometheus-operator/prometheus-operator v0.85.0
