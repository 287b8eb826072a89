{{/* Selectors never change: neither release nor version is in them. */}}
{{- define "countersign.selector" -}}
app.kubernetes.io/name: countersign
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "countersign.labels" -}}
{{- if .component }}
{{ include "countersign.selector" . }}
{{- else }}
app.kubernetes.io/name: countersign
{{- end }}
app.kubernetes.io/part-of: countersign
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
{{- end }}

{{- define "countersign.image" -}}
{{- with .Values.image -}}
{{ .repository }}
{{- if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end }}
{{- end }}

{{- define "countersign.audience" -}}
countersign.dev/{{ .Values.trustDomain }}
{{- end }}

{{/* host:port, with brackets around IPv6. */}}
{{- define "countersign.listen" -}}
{{- $host := .root.Values.listenHost -}}
{{ if contains ":" $host }}[{{ $host }}]{{ else }}{{ $host }}{{ end }}:{{ .port }}
{{- end }}

{{- define "countersign.pullSecrets" -}}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
{{- range . }}
  - name: {{ . }}
{{- end }}
{{- end }}
{{- end }}

{{- define "countersign.probes" -}}
startupProbe:
  httpGet:
    path: /livez
    port: operations
  periodSeconds: 2
  failureThreshold: 60
readinessProbe:
  httpGet:
    path: /readyz
    port: operations
  periodSeconds: 5
  timeoutSeconds: 3
livenessProbe:
  httpGet:
    path: /livez
    port: operations
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
{{- end }}

{{- define "countersign.apiServerEgress" -}}
- ports:
  {{- range .Values.networkPolicy.apiServerPorts }}
    - port: {{ . }}
  {{- end }}
  {{- with .Values.networkPolicy.apiServerCidrs }}
  to:
    {{- range . }}
    - ipBlock:
        cidr: {{ . }}
    {{- end }}
  {{- end }}
{{- end }}

{{/* The broker's configuration: what follows from the values, and what broker.config adds to it. */}}
{{- define "countersign.brokerConfig" -}}
{{- $values := .Values -}}
{{- $authority := dict "wrappingKeySecret" (printf "%s/%s" .Release.Namespace $values.broker.wrappingKey.secretName) -}}
{{- if $values.broker.upstreamSecret }}
{{- $upstream := dict "certificateFile" "/etc/countersign/upstream/tls.crt" "keyFile" "/etc/countersign/upstream/tls.key" }}
{{- $authority = merge $authority (dict "mode" "upstreamDisk" "upstream" $upstream) }}
{{- end }}
{{- $bundle := dict "configMaps" (list (printf "%s/countersign-trust-bundle" $values.namespaces.agent)) -}}
{{- if $values.clusterTrustBundle }}
{{- $_ := set $bundle "clusterTrustBundle" true }}
{{- end }}
{{- $config := dict
  "trustDomain" $values.trustDomain
  "listen" (include "countersign.listen" (dict "root" . "port" 8443))
  "operations" (dict "listen" (include "countersign.listen" (dict "root" . "port" 9090)))
  "attestation" (dict "agents" (list (printf "%s/countersign-agent" $values.namespaces.agent)))
  "kubernetes" (dict)
  "templates" (dict "customResources" true)
  "authority" $authority
  "ledger" (dict "file" "/var/lib/countersign/ledger.sqlite")
  "bundle" $bundle
  "log" (dict "level" $values.logLevel) -}}
{{- if $values.admin.enabled }}
{{- $_ := set $config "admin" (dict "listen" (include "countersign.listen" (dict "root" . "port" 8444))) }}
{{- end }}
{{- mustMergeOverwrite $config (deepCopy $values.broker.config) | toYaml }}
{{- end }}

{{- define "countersign.agentConfig" -}}
trustDomain: {{ .Values.trustDomain }}
broker:
  address: countersign-broker.{{ .Release.Namespace }}.svc:8443
tokenFile: /var/run/secrets/countersign.dev/token
bootstrapBundleFile: /etc/countersign/bundle/bundle.json
stateDirectory: {{ .Values.agent.kubeletRoot }}/plugins/csi.countersign.dev
csi:
  pluginsRegistry: {{ .Values.agent.kubeletRoot }}/plugins_registry
  kubeletDirectory: {{ .Values.agent.kubeletRoot }}
  maxVolumesPerPod: {{ .Values.agent.maxVolumesPerPod }}
  selinuxContext: {{ .Values.agent.selinuxContext | quote }}
operations:
  listen: {{ include "countersign.listen" (dict "root" . "port" 9090) | quote }}
log:
  level: {{ .Values.logLevel }}
{{- end }}
