"""Sessions as pods of a Kubernetes cluster, 1.29 or newer? In: specs, an image by digest. Out: what happens to them.

`manifests`· and `policies`· say what is asked for, `pod_status`· what a pod's status means, `refusals`· what an answer
of the API does; `api` asks it by kr8s, `pods` watches, `sessions` is the port. Nothing is remembered that the cluster
does not say. Perijove itself there: `installing`· and `exposing`· say what it is, `applying` puts and removes it.
"""
