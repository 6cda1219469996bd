{{- define "market-operator.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* 57 characters: room for the suffixes of the roles and 63 in all. */}}
{{- define "market-operator.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- default $full .Values.fullnameOverride | trunc 57 | trimSuffix "-" -}}
{{- end -}}

{{/* Cluster-wide objects carry the namespace, so that two releases of the same name do not share them. */}}
{{- define "market-operator.clusterName" -}}
{{- printf "%s-%s" .Release.Namespace (include "market-operator.fullname" .) -}}
{{- end -}}

{{- define "market-operator.serviceAccountName" -}}
{{- $own := ternary (include "market-operator.fullname" .) "default" .Values.serviceAccount.create -}}
{{- default $own .Values.serviceAccount.name -}}
{{- end -}}

{{- define "market-operator.selectorLabels" -}}
app.kubernetes.io/name: {{ include "market-operator.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "market-operator.labels" -}}
{{ include "market-operator.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/component: operator
app.kubernetes.io/part-of: market-collector
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* The operator's pods, for NetworkPolicies. */}}
{{- define "market-operator.peer" -}}
namespaceSelector:
  matchLabels:
    kubernetes.io/metadata.name: {{ .Release.Namespace }}
podSelector:
  matchLabels: {{- include "market-operator.selectorLabels" . | nindent 4 }}
{{- end -}}

{{/* What the operator may do, once for the ClusterRole and for each Role. Nothing here reads a Secret. */}}
{{- define "market-operator.rules" -}}
- apiGroups: [marketcollector.dev]
  resources: [marketcollectors]
  verbs: [get, list, watch]
- apiGroups: [marketcollector.dev]
  resources: [marketcollectors/status]
  verbs: [patch]
- apiGroups: [apps]
  resources: [deployments]
  verbs: [list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [services, configmaps]
  verbs: [list, watch, create, patch, delete]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [list, watch, create, patch, delete]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create]
{{- end -}}
