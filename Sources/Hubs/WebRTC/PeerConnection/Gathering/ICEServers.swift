internal import MartletCrypto

/// The servers of a configuration, checked.
struct ICEServers: Sendable {
  struct Server: Sendable {
    let url: ICEServerURL
    /// Of a TURN server.
    let credentials: TURNCredentials?
  }

  private(set) var all: [Server] = []
  /// For `turns:`.
  private(set) var tls: TLSContext?
  /// For `turns:` over UDP.
  private(set) var dtls: TLSContext?

  /// There are none.
  static let none = ICEServers()

  private init() {}

  /// Each costs an allocation or a question for each address of this machine.
  private static let maximum = 16

  init(_ configuration: PeerConnection.Configuration) throws(PeerError) {
    for server in configuration.iceServers {
      for text in server.urls {
        let url = try ICEServerURL(text)
        guard !url.relays || !server.username.isEmpty && !server.credential.isEmpty else {
          throw PeerError(.invalidAccess, "the ICE server \(text) needs a username and a credential")
        }
        all.append(
          Server(url: url, credentials: url.relays ? TURNCredentials(username: server.username, password: server.credential) : nil))
      }
    }
    guard all.count <= Self.maximum else { throw PeerError(.syntax, "more than \(Self.maximum) URLs of ICE servers") }
    do throws(TLSError) {
      if all.contains(where: { $0.url.transport == .tls }) { tls = try TLSContext.client(configuration.turnTrust.trust) }
      if all.contains(where: { $0.url.transport == .dtls }) { dtls = try TLSContext.datagramClient(configuration.turnTrust.trust) }
    } catch {
      throw PeerError(.syntax, "the certificates that TURN servers are verified with: \(error)")
    }
  }
}

extension PeerConnection.Configuration.Trust {
  fileprivate var trust: TLSContext.Trust {
    switch self {
    case .system: .system
    case .certificates(let pem): .pem(Array(pem.utf8))
    case .insecure: .insecure
    }
  }
}

extension PeerConnection.Configuration {
  /// What making a connection would throw.
  package func check() throws(PeerError) { _ = try ICEServers(self) }
}
