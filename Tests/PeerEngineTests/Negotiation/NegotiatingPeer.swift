import MartletCrypto
import MartletICE
import MartletPeerEngine
import MartletPrimitives
import MartletSDP
import Testing

/// A negotiation with its driver's side of it: what the events said, and the credentials of a transport that does as it is told.
struct NegotiatingPeer {
  var negotiation: PeerNegotiation
  var events: [NegotiationEvent] = []
  /// What the transport has: its own credentials, and the peer's for these.
  var local: ICECredentials
  var remote: ICECredentials?

  init(_ name: String, seed: UInt64, isLite: Bool = false, _ configure: (inout NegotiationConfiguration) -> Void = { _ in }) {
    var configuration = NegotiationConfiguration()
    configuration.fragmentPrefix = name
    configure(&configuration)
    var random = RandomSource(seed: seed)
    let fingerprint = CertificateFingerprint(.sha256, random.bytes(32))
    let local = LocalTransport(
      credentials: ICECredentials(prefix: name, random: &random), fingerprints: [fingerprint], isLite: isLite)
    negotiation = PeerNegotiation(configuration, local: local, random: random)
    self.local = local.credentials
  }

  mutating func drain() {
    while let event = negotiation.pollEvent() {
      if case .restartICE(let credentials) = event { (local, remote) = (credentials, nil) }
      if case .connect(let transport) = event { remote = transport.credentials }
      events.append(event)
    }
  }

  /// The events since it was asked last.
  mutating func taken() -> [NegotiationEvent] {
    drain()
    defer { events = [] }
    return events
  }

  var media: NegotiatedMedia { negotiation.negotiatedMedia() }
}

extension Sequence where Element == NegotiationEvent {
  var names: [String] {
    map { event in
      switch event {
      case .signalingStateChanged(let state): state.rawValue
      case .negotiationNeeded: "needed"
      case .restartICE: "restart"
      case .connect: "connect"
      case .remoteCandidate: "candidate"
      case .endOfRemoteCandidates: "end"
      case .media: "media"
      case .dataChannels: "data"
      case .track: "track"
      case .streamsChanged: "streams"
      case .trackRemoved: "removed"
      case .rejected(let mid, _): "rejected \(mid)"
      }
    }
  }

  var connects: [RemoteTransport] { compactMap { if case .connect(let transport) = $0 { transport } else { nil } } }
  var restarts: [ICECredentials] { compactMap { if case .restartICE(let credentials) = $0 { credentials } else { nil } } }
  var tracks: [Transceiver.ID] { compactMap { if case .track(let id) = $0 { id } else { nil } } }
  var removals: [Transceiver.ID] { compactMap { if case .trackRemoved(let id, _) = $0 { id } else { nil } } }
  var dataChannels: [DataChannelParameters] { compactMap { if case .dataChannels(let parameters) = $0 { parameters } else { nil } } }
}

/// Descriptions travel as text, as they do.
func carried(_ session: SessionDescription) throws -> SessionDescription {
  let copy = try SessionDescription(session.write())
  #expect(copy == session)
  return copy
}

/// One offer and its answer.
func exchange(_ a: inout NegotiatingPeer, _ b: inout NegotiatingPeer) throws {
  let offer = try a.negotiation.setLocalDescription()
  try b.negotiation.setRemoteDescription(offer.type, try carried(offer.session))
  let answer = try b.negotiation.setLocalDescription()
  try a.negotiation.setRemoteDescription(answer.type, try carried(answer.session))
  a.drain()
  b.drain()
  expectAgreement(a, b)
}

/// Until neither has anything to say.
func settle(_ a: inout NegotiatingPeer, _ b: inout NegotiatingPeer) throws {
  for _ in 0..<6 {
    if a.negotiation.needsNegotiation { try exchange(&a, &b) } else if b.negotiation.needsNegotiation { try exchange(&b, &a) }
  }
  #expect(!a.negotiation.needsNegotiation && !b.negotiation.needsNegotiation)
}

/// Both in the stable state, of one mind about every section.
func expectAgreement(_ a: NegotiatingPeer, _ b: NegotiatingPeer) {
  #expect(a.negotiation.signalingState == .stable && b.negotiation.signalingState == .stable)
  let ours = a.negotiation.currentLocalDescription, theirs = b.negotiation.currentLocalDescription
  #expect(ours?.media.map(\.mid) == theirs?.media.map(\.mid))
  #expect(ours?.media.map(\.kind) == theirs?.media.map(\.kind))
  for transceiver in a.negotiation.transceivers {
    guard let mid = transceiver.mid else { continue }
    let other = b.negotiation.transceiver(mid: mid)
    #expect(other?.kind == transceiver.kind)
    #expect(other?.currentDirection == transceiver.currentDirection?.inverted)
  }
  expectMedia(from: a, to: b)
  expectMedia(from: b, to: a)
  if ours?.media.contains(where: { !$0.isRejected }) == true, a.remote != nil || b.remote != nil {
    #expect(a.remote == b.local && b.remote == a.local)
  }
}

/// What one sends is what the other expects.
func expectMedia(from a: NegotiatingPeer, to b: NegotiatingPeer) {
  let incoming = b.media.incoming.filter { !$0.codecs.isEmpty }
  let outgoing = a.media.outgoing
  #expect(incoming.map(\.mid) == outgoing.map(\.mid))
  for (section, sent) in zip(incoming, outgoing) {
    #expect(section.codecs.map(\.payloadType) == sent.codecs.map(\.payloadType))
    #expect(section.codecs.map(\.name) == sent.codecs.map(\.name))
    #expect(section.extensions == sent.extensions)
    #expect(section.rids == sent.encodings.compactMap(\.rid))
    guard sent.encodings.count == 1, let parameters = sent.encodings.first?.parameters, !section.announced.isEmpty else { continue }
    #expect(section.announced.map(\.ssrc) == [parameters.ssrc])
    if let rtx = parameters.rtx { #expect(section.announced.map(\.rtx) == [rtx.ssrc]) }
  }
}
