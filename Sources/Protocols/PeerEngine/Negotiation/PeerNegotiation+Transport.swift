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
    guard let section = answer.answeredTransportSection, let remote = descriptions.remote?.session else { return }
    let transport = remote.sharedTransport(section)
    if iceRole == nil { iceRole = isAnsweredHere ? .controlled : .controlling }
    if dtlsRole == nil {
      let answered = isAnsweredHere ? answer.sharedTransport(section).setup : transport.setup
      dtlsRole = (answered == .active) == isAnsweredHere ? .client : .server
    }
    connect(to: transport, section)
  }

  /// A restart that was begun is taken back.
  mutating func restoreTransport() {
    guard local.credentials != settledCredentials else { return }
    use(settledCredentials)
    let answer = [descriptions.currentLocal, descriptions.currentRemote].compactMap(\.self).first { $0.type == .answer }
    guard let section = answer?.session.answeredTransportSection, let remote = descriptions.currentRemote?.session else { return }
    connect(to: remote.sharedTransport(section), section)
  }

  private mutating func connect(to transport: TransportDescription, _ section: Int) {
    guard let credentials = transport.credentials, credentials != connected, let dtlsRole else { return }
    connected = credentials
    let fingerprints = CertificateFingerprint.all(in: transport)
    peerFingerprints = fingerprints
    raise(
      .connect(
        RemoteTransport(
          credentials: credentials, isLite: transport.isICELite, fingerprints: fingerprints, role: dtlsRole,
          iceRole: iceRole ?? .controlling)))
    raiseCandidates(section)
  }
}

extension CertificateFingerprint {
  /// Those by a hash function that is known and safe.
  static func all(in transport: TransportDescription) -> [CertificateFingerprint] {
    transport.fingerprints.compactMap { CertificateFingerprint(algorithm: $0.algorithm, digest: $0.bytes) }
  }
}
