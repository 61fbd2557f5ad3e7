// Command vault is a throw-away Vault server for the integration tests: in-memory storage, kv
// version 2 and AppRole, unsealed at start. It writes the root token
// to a file and prints the address it listens on.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault-plugin-secrets-kv"
	"github.com/hashicorp/vault/builtin/credential/approle"
	vaulthttp "github.com/hashicorp/vault/http"
	"github.com/hashicorp/vault/internalshared/configutil"
	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/sdk/physical/inmem"
	"github.com/hashicorp/vault/vault"
)

// builtins tells Vault's plugin catalog which plugins are part of this program.
type builtins map[string]consts.PluginType

func (b builtins) Contains(name string, kind consts.PluginType) bool { return b[name] == kind }

func (b builtins) Get(name string, kind consts.PluginType) (func() (interface{}, error), bool) {
	return func() (interface{}, error) { return nil, nil }, b.Contains(name, kind)
}

func (b builtins) Keys(kind consts.PluginType) []string {
	var names []string
	for name, of := range b {
		if of == kind {
			names = append(names, name)
		}
	}
	return names
}

func (b builtins) DeprecationStatus(name string, kind consts.PluginType) (consts.DeprecationStatus, bool) {
	return consts.Supported, b.Contains(name, kind)
}

func (b builtins) IsBuiltinEntPlugin(string, consts.PluginType) bool { return false }

func main() {
	address := flag.String("listen", "127.0.0.1:0", "address to serve plain HTTP on")
	tokenFile := flag.String("token-file", "", "where to write the root token (mode 0600)")
	flag.Parse()
	if err := serve(*address, *tokenFile); err != nil {
		log.Fatal(err)
	}
}

func serve(address, tokenFile string) error {
	logger := hclog.New(&hclog.LoggerOptions{Name: "vault", Level: hclog.Warn})
	storage, err := inmem.NewInmem(nil, logger)
	if err != nil {
		return err
	}
	core, err := vault.NewCore(&vault.CoreConfig{
		Physical:           storage,
		Logger:             logger,
		DisableMlock:       true,
		LogicalBackends:    map[string]logical.Factory{"kv": kv.Factory},
		CredentialBackends: map[string]logical.Factory{"approle": approle.Factory},
		BuiltinRegistry:    builtins{"kv": consts.PluginTypeSecrets, "approle": consts.PluginTypeCredential},
	})
	if err != nil {
		return err
	}
	result, err := core.Initialize(context.Background(), &vault.InitParams{
		BarrierConfig: &vault.SealConfig{SecretShares: 1, SecretThreshold: 1},
	})
	if err != nil {
		return err
	}
	if _, err := core.Unseal(result.SecretShares[0]); err != nil {
		return err
	}
	if err := os.WriteFile(tokenFile, []byte(result.RootToken), 0o600); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	fmt.Println("listening on", listener.Addr())
	return http.Serve(listener, vaulthttp.Handler.Handler(&vault.HandlerProperties{
		Core:           core,
		ListenerConfig: &configutil.Listener{},
	}))
}
