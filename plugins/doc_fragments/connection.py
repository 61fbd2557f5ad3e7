# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the connection options."""

from __future__ import annotations


class ModuleDocFragment:
    """How to reach the API, named as in kubernetes.core."""

    DOCUMENTATION = r"""
options:
  kubeconfig:
    description:
      - The path of a kubeconfig file, several paths separated by V(:), or the kubeconfig itself as a mapping.
      - Without it, E(K8S_AUTH_KUBECONFIG), the ServiceAccount of the pod, E(KUBECONFIG) and V(~/.kube/config) are tried
        in this order.
    type: raw
  context:
    description: The kubeconfig's context to use. E(K8S_AUTH_CONTEXT) sets it too.
    type: str
  host:
    description: The URL of the Kubernetes API. E(K8S_AUTH_HOST) sets it too.
    type: str
  api_key:
    description: A bearer token. E(K8S_AUTH_API_KEY) sets it too.
    type: str
  username:
    description: The user name for HTTP basic authentication. E(K8S_AUTH_USERNAME) sets it too.
    type: str
  password:
    description: The password for HTTP basic authentication. E(K8S_AUTH_PASSWORD) sets it too.
    type: str
  validate_certs:
    description: Whether the API server's certificate must be valid. E(K8S_AUTH_VERIFY_SSL) sets it too.
    type: bool
    aliases: [verify_ssl]
  ca_cert:
    description: Path of the CA certificates to trust. E(K8S_AUTH_SSL_CA_CERT) sets it too.
    type: path
    aliases: [ssl_ca_cert]
  client_cert:
    description: Path of the client certificate. E(K8S_AUTH_CERT_FILE) sets it too.
    type: path
    aliases: [cert_file]
  client_key:
    description: Path of the client certificate's key. E(K8S_AUTH_KEY_FILE) sets it too.
    type: path
    aliases: [key_file]
  proxy:
    description: The URL of an HTTP proxy. E(K8S_AUTH_PROXY) sets it too.
    type: str
  no_proxy:
    description: Comma-separated hosts and domains that are reached without the proxy. E(K8S_AUTH_NO_PROXY) sets it too.
    type: str
  proxy_headers:
    description: Headers for the proxy.
    type: dict
    suboptions:
      proxy_basic_auth:
        description: C(user:password) for the proxy.
        type: str
      basic_auth:
        description: C(user:password) for the C(Authorization) header.
        type: str
      user_agent:
        description: The C(User-Agent) header.
        type: str
  impersonate_user:
    description: The user to act as. E(K8S_AUTH_IMPERSONATE_USER) sets it too.
    type: str
  impersonate_groups:
    description: The groups to act as. E(K8S_AUTH_IMPERSONATE_GROUPS) sets them too, separated by commas.
    type: list
    elements: str
  concurrency:
    description: The maximum number of concurrent requests.
    type: int
    default: 16
requirements:
  - python >= 3.9
  - urllib3 >= 2.2 and PyYAML (both come with the Python package kubernetes)
  - kubernetes, for kubeconfigs with an exec plugin or auth provider
notes:
  - A task that would run on the same machine, as the same user, with the same Python and in the same environment as
    Ansible itself runs in Ansible's own process. Any other task (delegated to another host, with C(become),
    C(environment), C(async) or another interpreter) runs like any other module. The result is the same.
  - Each of these options can also be set as a host or group variable (C(cluster_secrets_kubeconfig),
    C(cluster_secrets_context) and so on). The task's own option takes precedence.
  - All connection options can be set once for a play with C(module_defaults) for
    C(group/platform.cluster_secrets.cluster_secrets).
"""
