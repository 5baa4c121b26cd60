package config

const (
	noManager  = "Refused: there is no manager of secrets here, use the file."
	fromFile   = "The same, read from a file whenever it is used."
	deprecated = "Older spelling of authorization."
)

// foreign says what the fields mean that libraries define.
var foreign = map[string]string{
	"config.HTTPClientConfig.BasicAuth":       "User and password. At most one of these ways to authenticate can be given.",
	"config.HTTPClientConfig.Authorization":   "A token, or other credentials for the header Authorization.",
	"config.HTTPClientConfig.OAuth2":          "Tokens from an OAuth 2 server.",
	"config.HTTPClientConfig.BearerToken":     deprecated,
	"config.HTTPClientConfig.BearerTokenFile": deprecated,
	"config.HTTPClientConfig.TLSConfig":       "Certificates, and what of TLS is accepted.",
	"config.HTTPClientConfig.FollowRedirects": "Follow 307 and 308, which repeat the request. Others are never followed.",
	"config.HTTPClientConfig.EnableHTTP2":     "Use HTTP/2 where the receiver has it. One connection that stalls then stalls every shard.",
	"config.HTTPClientConfig.HTTPHeaders":     "Further headers, with values that can come from files.",
	"config.Headers.Headers":                  "By the name of the header: values, secrets or files, each a list.",

	"config.ProxyConfig.ProxyURL":             "Proxy to connect through.",
	"config.ProxyConfig.NoProxy":              "Hosts, networks and domains to reach without it, with commas between them.",
	"config.ProxyConfig.ProxyFromEnvironment": "Take the proxy from HTTP_PROXY, HTTPS_PROXY and NO_PROXY.",
	"config.ProxyConfig.ProxyConnectHeader":   "Headers for the proxy itself.",

	"config.BasicAuth.Username":     "Name of the user.",
	"config.BasicAuth.UsernameFile": fromFile,
	"config.BasicAuth.UsernameRef":  noManager,
	"config.BasicAuth.Password":     "The password.",
	"config.BasicAuth.PasswordFile": fromFile,
	"config.BasicAuth.PasswordRef":  noManager,

	"config.Authorization.Type":            "What stands before the credentials. Bearer without one.",
	"config.Authorization.Credentials":     "The token.",
	"config.Authorization.CredentialsFile": fromFile,
	"config.Authorization.CredentialsRef":  noManager,

	"config.OAuth2.ClientID":                 "Name of this client.",
	"config.OAuth2.ClientSecret":             "Its secret.",
	"config.OAuth2.ClientSecretFile":         fromFile,
	"config.OAuth2.ClientSecretRef":          noManager,
	"config.OAuth2.ClientCertificateKeyID":   "Id of the key that signs the request for a token.",
	"config.OAuth2.ClientCertificateKey":     "That key, in PEM.",
	"config.OAuth2.ClientCertificateKeyFile": fromFile,
	"config.OAuth2.ClientCertificateKeyRef":  noManager,
	"config.OAuth2.GrantType":                "client_credentials, or urn:ietf:params:oauth:grant-type:jwt-bearer.",
	"config.OAuth2.SignatureAlgorithm":       "How the key signs. RS256 without one.",
	"config.OAuth2.Iss":                      "Issuer in what is signed. client_id without one.",
	"config.OAuth2.Audience":                 "Audience in what is signed. token_url without one.",
	"config.OAuth2.Claims":                   "Further claims in what is signed.",
	"config.OAuth2.Scopes":                   "Scopes to ask for.",
	"config.OAuth2.TokenURL":                 "Where tokens are asked for.",
	"config.OAuth2.EndpointParams":           "Further parameters of that request.",
	"config.OAuth2.TLSConfig":                "TLS to that server.",

	"config.TLSConfig.CA":                 "Certificates of authorities to trust, in PEM. Those of the system without one.",
	"config.TLSConfig.CAFile":             fromFile,
	"config.TLSConfig.CARef":              noManager,
	"config.TLSConfig.Cert":               "Certificate to show, in PEM.",
	"config.TLSConfig.CertFile":           fromFile,
	"config.TLSConfig.CertRef":            noManager,
	"config.TLSConfig.Key":                "Its key, in PEM.",
	"config.TLSConfig.KeyFile":            fromFile,
	"config.TLSConfig.KeyRef":             noManager,
	"config.TLSConfig.ServerName":         "Name that the certificate must have, where it is not the host of the url.",
	"config.TLSConfig.InsecureSkipVerify": "Take any certificate.",
	"config.TLSConfig.MinVersion":         "Oldest version of TLS: TLS10, TLS11, TLS12 or TLS13.",
	"config.TLSConfig.MaxVersion":         "Newest one.",

	"relabel.Config.SourceLabels": "Labels whose values are matched, joined by the separator.",
	"relabel.Config.Separator":    "What stands between them. ; without one.",
	"relabel.Config.Regex":        "What they have to match, from beginning to end. (.*) without one.",
	"relabel.Config.Modulus":      "For hashmod.",
	"relabel.Config.TargetLabel":  "Label to set.",
	"relabel.Config.Replacement":  "Its value, with $1 for a group of the regex. $1 without one.",
	"relabel.Config.Action":       "replace, keep, drop, keepequal, dropequal, hashmod, labelmap, labeldrop, labelkeep, lowercase or uppercase. replace without one.",
}
