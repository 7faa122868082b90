package kuberig

import (
	"context"
	"fmt"
	"os"
	"time"

	authv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// configure makes the administrator's access, for this process and for the
// components.
func (c *Cluster) configure() error {
	cert, key, err := c.pki.sign(certificate("kuberig-admin", "system:masters"))
	if err != nil {
		return err
	}
	c.config = c.with(cert, key)
	if c.client, err = kubernetes.NewForConfig(c.config); err != nil {
		return err
	}
	if c.dynamic, err = dynamic.NewForConfig(c.config); err != nil {
		return err
	}
	data, err := c.kubeconfig(c.config)
	if err != nil {
		return err
	}
	return os.WriteFile(c.Kubeconfig(), data, 0o600)
}

// with is the access with a client certificate. There is no limit to the rate of
// requests in it.
func (c *Cluster) with(cert, key []byte) *rest.Config {
	return &rest.Config{
		Host:            fmt.Sprintf("https://127.0.0.1:%d", c.ports.api),
		TLSClientConfig: rest.TLSClientConfig{CAData: c.pki.pem, CertData: cert, KeyData: key},
		QPS:             -1,
	}
}

// kubeconfig is the text of the file that gives an access.
func (c *Cluster) kubeconfig(config *rest.Config) ([]byte, error) {
	const name = "kuberig"
	file := clientcmdapi.NewConfig()
	file.Clusters[name] = &clientcmdapi.Cluster{Server: config.Host, CertificateAuthorityData: config.CAData}
	file.AuthInfos[name] = &clientcmdapi.AuthInfo{
		ClientCertificateData: config.CertData, ClientKeyData: config.KeyData, Token: config.BearerToken,
	}
	file.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: name}
	file.CurrentContext = name
	return clientcmd.Write(*file)
}

// Kubeconfig is the path of a kubeconfig file with all rights.
func (c *Cluster) Kubeconfig() string { return c.path("kubeconfig") }

// Config is the access with all rights. Each call returns a new one.
func (c *Cluster) Config() *rest.Config { return rest.CopyConfig(c.config) }

// User is the access of a user with groups, who has only the rights that roles
// give. The user proves to be one by a client certificate.
func (c *Cluster) User(name string, groups ...string) (*rest.Config, error) {
	cert, key, err := c.pki.sign(certificate(name, groups...))
	if err != nil {
		return nil, err
	}
	return c.with(cert, key), nil
}

// ServiceAccount is the access of a service account, which has to be there, by a
// token as a pod has it. The token is good for an hour, or until the account is
// deleted: then the server answers Unauthorized.
func (c *Cluster) ServiceAccount(ctx context.Context, namespace, name string) (*rest.Config, error) {
	seconds := int64(time.Hour / time.Second)
	token, err := c.client.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, name,
		&authv1.TokenRequest{Spec: authv1.TokenRequestSpec{ExpirationSeconds: &seconds}}, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("kuberig: token of the service account %s/%s: %w", namespace, name, err)
	}
	config := c.with(nil, nil)
	config.BearerToken = token.Status.Token
	return config, nil
}

// KubeconfigOf writes an access to a file and returns its path, for programs
// that read it from there.
func (c *Cluster) KubeconfigOf(config *rest.Config) (string, error) {
	data, err := c.kubeconfig(config)
	if err != nil {
		return "", err
	}
	f, err := os.CreateTemp(c.dir, "kubeconfig-")
	if err != nil {
		return "", err
	}
	if _, err := f.Write(data); err != nil {
		_ = f.Close() // the other error is the one to tell
		return "", err
	}
	return f.Name(), f.Close()
}

// Client is a client with all rights.
func (c *Cluster) Client() *kubernetes.Clientset { return c.client }

// Dynamic is a client with all rights for objects of any kind.
func (c *Cluster) Dynamic() *dynamic.DynamicClient { return c.dynamic }
