internal import COpenSSL

/// The host that a client asks for, and whose certificate it expects.
internal enum TLSServerName {
  static func expect(_ name: String, verifies: Bool, of ssl: OpaquePointer) throws(TLSError) {
    let isAddress = X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name) == 1
    OpenSSLFailure.clear()
    // RFC 6066 §3: no address literals in server_name.
    if !isAddress {
      let set = name.withCString {
        SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, Int(TLSEXT_NAMETYPE_host_name), UnsafeMutableRawPointer(mutating: $0))
      }
      guard set == 1 else { throw TLSError(.configuration, "\"\(name)\" is no host name: \(OpenSSLFailure.take().reason)") }
      if verifies {
        SSL_set_hostflags(ssl, UInt32(X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS))
        guard SSL_set1_host(ssl, name) == 1 else { throw TLSError(.configuration, OpenSSLFailure.take().reason) }
      }
    }
  }
}
