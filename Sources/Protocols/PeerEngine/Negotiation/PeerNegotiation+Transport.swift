internal import MartletCrypto
internal import MartletICE
internal import MartletSDP

extension PeerNegotiation {
  /// Credentials of ours that a description makes known have to be in use before it arrives.
  mutating func use(_ credentials: ICECredentials) {
    guard credentials != local.credentials else { return }
    local.credentials = credentials
    connected = nil
    raise(.restartICE(credentials))
  }

  /// With the first answer, and with that to a restart: both sides know each other's credentials.
  mutating func connect(answer: SessionDescription, isAnsweredHere: Bool) {
    // A restart that no section carries does not take place: the peer has not heard of it.
    guard let section = answer.answeredTransportSection, let remote = descriptions.remote?.session else { return restoreTransport() }
    let transport = remote.sharedTransport(section)
    if iceRole == nil { iceRole = isAnsweredHere ? .controlled : .controlling }
    if dtlsRole == nil {
      let answered = isAnsweredHere ? answer.sharedTransport(section).setup : transport.setup
      dtlsRole = (answered == .active) == isAnsweredHere ? .client : .server
    }
    guard let credentials = transport.credentials, credentials != connected?.credentials, let dtlsRole else { return }
    let parameters = RemoteTransport(
      credentials: credentials, isLite: transport.isICELite, fingerprints: CertificateFingerprint.all(in: transport), role: dtlsRole,
      iceRole: iceRole ?? .controlling)
    connected = parameters
    raise(.connect(parameters))
    raiseCandidates(of: remote, section)
  }

  /// A restart that was begun is taken back.
  mutating func restoreTransport() {
    guard local.credentials != settledTransport.local else { return }
    use(settledTransport.local)
    guard let remote = settledTransport.remote else { return }
    connected = remote
    raise(.connect(remote))
    guard let session = descriptions.currentRemote?.session, let section = transportSection(session) else { return }
    raiseCandidates(of: session, section)
  }
}

extension CertificateFingerprint {
  /// Those by a hash function that is known and safe.
  static func all(in transport: TransportDescription) -> [CertificateFingerprint] {
    transport.fingerprints.compactMap { CertificateFingerprint(algorithm: $0.algorithm, digest: $0.bytes) }
  }
}
