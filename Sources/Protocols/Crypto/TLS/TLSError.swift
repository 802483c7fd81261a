/// Why a TLS connection or its configuration failed. The reason is OpenSSL's own text where there is one.
package struct TLSError: Error, Equatable, Sendable {
  package enum Kind: Sendable {
    /// Certificates, keys or names that we were given.
    case configuration
    /// A browser spoke plain HTTP to a TLS port: answer in plain HTTP, or say so in the log.
    case plainHTTP
    /// What arrived is not TLS at all.
    case notTLS
    /// The peer's certificate was not accepted by us.
    case untrustedPeer
    /// The peer refused or violated the protocol.
    case failure
    /// Used before the handshake is complete, or after the end.
    case notOpen
  }

  package let kind: Kind
  package let reason: String

  package init(_ kind: Kind, _ reason: String) {
    self.kind = kind
    self.reason = reason
  }
}

extension TLSError: CustomStringConvertible {
  package var description: String { reason }
}
