internal import MartletIO
internal import MartletPeerEngine
internal import MartletPrimitives
internal import MartletRTP
internal import MartletSDP

// Transceivers: what is sent and received in which section.
extension PeerConnectionCore {
  func addTrack(_ kind: MediaTransceiver.Kind) throws(PeerError) -> MediaTransceiver {
    let track = random.text(16)
    let id = try negotiate { negotiation throws(NegotiationError) in
      try negotiation.addTrack(kind == .audio ? .audio : .video, track)
    }
    return transceiver(id.rawValue) ?? MediaTransceiver(kind, id: id.rawValue, connection: self.id)
  }

  func addTransceiver(_ kind: MediaTransceiver.Kind, _ direction: MediaTransceiver.Direction) throws(PeerError) -> MediaTransceiver {
    let id = try negotiate { negotiation throws(NegotiationError) in
      try negotiation.addTransceiver(
        kind == .audio ? .audio : .video, MediaDirection(rawValue: direction.rawValue) ?? .sendrecv,
        track: direction == .sendrecv || direction == .sendonly ? random.text(16) : nil)
    }
    return transceiver(id.rawValue) ?? MediaTransceiver(kind, id: id.rawValue, connection: self.id)
  }

  func transceiver(_ id: UInt32) -> MediaTransceiver? {
    if let known = transceivers[id] { return known }
    guard let found = negotiation.transceivers.first(where: { $0.id.rawValue == id }) else { return nil }
    let made = MediaTransceiver(found.kind == .audio ? .audio : .video, id: id, connection: self.id)
    transceivers[id] = made
    return made
  }

  func transceiver(receiving stream: IncomingStream) -> MediaTransceiver? {
    guard sections.indices.contains(stream.section) else { return nil }
    let mid = sections[stream.section].mid
    return negotiation.transceivers.first { $0.mid == mid }.flatMap { transceiver($0.id.rawValue) }
  }

  func apply(_ media: NegotiatedMedia) {
    sections = media.incoming
    session.media.incoming.update(media.incoming)
    let mode = session.media.congestion?.mode ?? CongestionMode(media.outgoing.map(\.extensions))
    if !media.outgoing.isEmpty, session.media.congestion == nil { session.media.congestion = CongestionControl(mode) }
    for section in media.outgoing {
      guard let encoding = section.encodings.first, let codec = section.codecs.first(where: \.isPrimary) else { continue }
      if let sender = senders[section.transceiver.rawValue] {
        sender.codecs = section.codecs
        session.media.outgoing[sender.index].change(
          payloadType: codec.payloadType, rtxPayloadType: section.rtxPayloadType(for: codec), clockRate: codec.clockRate)
        continue
      }
      var parameters = encoding.parameters
      parameters.stampID = section.extensions.stampID(for: mode)
      session.media.outgoing.append(OutgoingTrack(parameters, random: &random))
      let sender = TrackSending(
        transceiver: section.transceiver.rawValue, index: session.media.outgoing.count - 1, codecs: section.codecs, random: &random)
      sender.suppressesSilence = quieted.contains(section.transceiver.rawValue)
      senders[section.transceiver.rawValue] = sender
    }
  }

  private func identity(of id: UInt32) throws(PeerError) -> Transceiver.ID {
    guard let found = negotiation.transceivers.first(where: { $0.id.rawValue == id }) else {
      throw PeerError(.invalidState, "the transceiver has stopped")
    }
    return found.id
  }

  func setDirection(_ direction: MediaTransceiver.Direction, of id: UInt32) throws(PeerError) {
    let identity = try identity(of: id)
    try negotiate { negotiation throws(NegotiationError) in
      try negotiation.setDirection(identity, MediaDirection(rawValue: direction.rawValue) ?? .sendrecv)
    }
  }

  func setCodecPreferences(_ names: [String], of id: UInt32) throws(PeerError) {
    let identity = try identity(of: id)
    guard let kind = negotiation.transceiver(identity)?.kind else { return }
    let known = negotiation.capabilities(kind)
    var wanted: [RTPCodec] = []
    for name in names {
      let codecs = known.filter { $0.isNamed(name) }
      guard !codecs.isEmpty else { throw PeerError(.invalidAccess, "the codec \(name) is not known") }
      let types = codecs.map(\.payloadType)
      wanted += codecs + known.filter { $0.associatedPayloadType.map(types.contains) ?? false }
    }
    try negotiate { negotiation throws(NegotiationError) in try negotiation.setCodecPreferences(identity, wanted) }
  }

  func codecs(of id: UInt32) -> [MediaTransceiver.Codec] {
    (senders[id]?.codecs ?? []).filter(\.isPrimary).map {
      MediaTransceiver.Codec(name: $0.name, payloadType: $0.payloadType, clockRate: Int($0.clockRate), parameters: "\($0.parameters)")
    }
  }

  func send(_ frame: MediaTransceiver.Frame, on id: UInt32) throws(PeerError) {
    guard let sender = senders[id] else { throw PeerError(.invalidState, "nothing was negotiated to be sent on this transceiver") }
    guard session.canSend else { return }
    try sender.send(frame, over: session, now: context.now)
    session.settle()
  }

  func setComfortNoise(_ isOn: Bool, of id: UInt32) throws(PeerError) {
    _ = try identity(of: id)
    if isOn { quieted.insert(id) } else { quieted.remove(id) }
    senders[id]?.suppressesSilence = isOn
  }

  /// The application makes one.
  func askForKeyFrame(_ sender: TrackSending) {
    if let transceiver = transceiver(sender.transceiver) { events.box.put(.keyFrameRequested(transceiver)) }
  }

  func requestKeyFrame(of id: UInt32) {
    guard let mid = negotiation.transceivers.first(where: { $0.id.rawValue == id })?.mid else { return }
    for (index, stream) in session.media.incoming.streams.enumerated() where sections[stream.section].mid == mid {
      session.media.incoming.requestKeyFrame(index)
    }
    session.settle()
  }
}
