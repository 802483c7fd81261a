/// Certificates.
internal enum TLSSection {
  static let section = SettingSection(
    "tls",
    "Certificates for https and rtmps. Without any, a development certificate is made at the first start and kept in the state folder.",
    [
      SettingKey(
        "certificate", \.tls.certificate, .path, "PEM file with the certificate and its chain.",
        example: "/etc/letsencrypt/live/example.org/fullchain.pem", reloadable: true),
      SettingKey(
        "key", \.tls.key, .path, "PEM file with the private key.", example: "/etc/letsencrypt/live/example.org/privkey.pem",
        reloadable: true),
      SettingKey(
        "hosts", \.tls.hosts, .list(of: host), "Further certificates; the one for the name that a client asks for (SNI) is chosen.",
        example: "[{certificate: /etc/martlet/video.pem, key: /etc/martlet/video.key}]", reloadable: true,
        structured: true),
    ])

  private static let host = SettingType<TLSConfiguration.Host>("{certificate, key}") { node throws(SettingProblem) in
    try SettingFields.read(node, "a TLS host", ["certificate", "key"]) { fields throws(SettingProblem) in
      TLSConfiguration.Host(
        certificate: try fields.required("certificate", .path),
        key: try fields.required("key", .path))
    }
  } write: { host in
    "{certificate: \(YAMLText.quoted(host.certificate)), key: \(YAMLText.quoted(host.key))}"
  }
}
