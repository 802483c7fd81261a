internal import MartletPrimitives
package import MartletSDP

extension PeerNegotiation {
  /// `addTrack` (W3C WebRTC §5.1): sends a track by a transceiver of its kind that has never sent, or by a new one.
  ///
  /// - Parameter streams: ids of the streams that the peer finds the track in.
  @discardableResult package mutating func addTrack(
    _ kind: TrackKind, _ track: String, streams: [String] = []
  ) throws(NegotiationError) -> Transceiver.ID {
    try requireOpen("addTrack")
    try check(ids: [track] + streams, streams: streams.count)
    guard !transceivers.contains(where: { $0.sender.track == track }) else { throw .invalidAccess("the track \(track) has a sender") }
    defer { updateNegotiationNeeded() }
    let free = transceivers.firstIndex { $0.kind == kind && $0.isLive && $0.sender.track == nil && !$0.hasSent }
    guard let free else {
      let sender = TrackSender(track: track, trackID: track, streams: streams, encodings: [makeEncoding()])
      return add(kind, .sendrecv, sender, isFromOffer: false, isForTrack: true)
    }
    transceivers[free].sender.track = track
    transceivers[free].sender.trackID = track
    transceivers[free].sender.streams = streams
    transceivers[free].direction = MediaDirection(sends: true, receives: transceivers[free].direction.receives)
    if transceivers[free].isFromOffer { transceivers[free].isForTrack = true }
    return transceivers[free].id
  }

  /// `removeTrack`: the transceiver goes on, and only receives.
  package mutating func removeTrack(_ id: Transceiver.ID) throws(NegotiationError) {
    try requireOpen("removeTrack")
    let index = try index(id)
    guard transceivers[index].isLive, transceivers[index].sender.track != nil else { return }
    transceivers[index].sender.track = nil
    transceivers[index].direction = MediaDirection(sends: false, receives: transceivers[index].direction.receives)
    updateNegotiationNeeded()
  }

  /// `replaceTrack`: another track goes on in the place of this one, which the peer does not notice.
  package mutating func replaceTrack(_ id: Transceiver.ID, with track: String?) throws(NegotiationError) {
    try requireOpen("replaceTrack")
    let index = try index(id)
    guard transceivers[index].isLive else { throw .invalidState("replaceTrack of a stopped transceiver", signalingState) }
    if let track { try check(ids: [track], streams: 0) }
    transceivers[index].sender.track = track
  }

  /// `setStreams`: what the peer will find the track in.
  package mutating func setStreams(_ id: Transceiver.ID, _ streams: [String]) throws(NegotiationError) {
    try requireOpen("setStreams")
    try check(ids: streams, streams: streams.count)
    transceivers[try index(id)].sender.streams = streams
    updateNegotiationNeeded()
  }

  /// `addTransceiver` (W3C WebRTC §5.1).
  ///
  /// - Parameter rids: the layers of simulcast, from the least to the most; of video only.
  @discardableResult package mutating func addTransceiver(
    _ kind: TrackKind, _ direction: MediaDirection = .sendrecv, track: String? = nil, streams: [String] = [], rids: [String] = []
  ) throws(NegotiationError) -> Transceiver.ID {
    try requireOpen("addTransceiver")
    try check(ids: [track].compactMap(\.self) + streams, streams: streams.count)
    try check(rids: rids, kind)
    // W3C WebRTC §5.1: an only encoding has no name.
    let encodings = rids.count < 2 ? [makeEncoding()] : rids.map { makeEncoding(rid: $0) }
    let sender = TrackSender(track: track, trackID: track ?? makeTrackID(), streams: streams, encodings: encodings)
    let id = add(kind, direction, sender, isFromOffer: false, isForTrack: false)
    updateNegotiationNeeded()
    return id
  }

  package mutating func setDirection(_ id: Transceiver.ID, _ direction: MediaDirection) throws(NegotiationError) {
    try requireOpen("setDirection")
    let index = try index(id)
    guard transceivers[index].isLive else { throw .invalidState("setDirection of a stopped transceiver", signalingState) }
    transceivers[index].direction = direction
    updateNegotiationNeeded()
  }

  /// `setCodecPreferences`: what to negotiate, in order, among `capabilities`; none restores the configuration's.
  package mutating func setCodecPreferences(_ id: Transceiver.ID, _ codecs: [RTPCodec]) throws(NegotiationError) {
    try requireOpen("setCodecPreferences")
    let index = try index(id)
    let known = capabilities(transceivers[index].kind)
    for codec in codecs where !known.contains(codec) {
      throw .invalidModification("the codec \(codec.name)/\(codec.clockRate) is not among the capabilities")
    }
    guard codecs.isEmpty || codecs.contains(where: \.isPrimary) else {
      throw .invalidModification("codec preferences without a codec of media")
    }
    transceivers[index].codecPreferences = codecs
  }

  /// `stop`: nothing is sent or received any more; the next exchange tells the peer and frees the section.
  package mutating func stop(_ id: Transceiver.ID) throws(NegotiationError) {
    try requireOpen("stop")
    let index = try index(id)
    transceivers[index].isStopping = true
    transceivers[index].direction = .inactive
    // Nobody has heard of one without a section, unless a description with it waits to be set.
    if signalingState == .stable, transceivers[index].mid == nil, !isCreated(id) { transceivers.remove(at: index) }
    updateNegotiationNeeded()
  }

  private func isCreated(_ id: Transceiver.ID) -> Bool { lastOffer?.transceivers.values.contains(id) ?? false }

  /// The first data channel needs a section; further ones do not.
  package mutating func openDataChannels() throws(NegotiationError) {
    try requireOpen("createDataChannel")
    usesDataChannels = true
    updateNegotiationNeeded()
  }

  /// `restartIce`: the next offer brings new credentials.
  package mutating func restartICE() throws(NegotiationError) {
    try requireOpen("restartIce")
    credentialsToReplace = settledTransport.local
    updateNegotiationNeeded()
  }

  mutating func makeTrackID() -> String { random.text(22) }

  // MARK: What the application says

  private func check(ids: [String], streams: Int) throws(NegotiationError) {
    guard streams <= configuration.limits.streams else { throw .limit("streams of a track", maximum: configuration.limits.streams) }
    for id in ids {
      // RFC 8830 §2: they stand in a line of text.
      guard !id.isEmpty, id.utf8.allSatisfy({ (33...126).contains($0) }) else {
        throw .invalidAccess("the id \"\(id)\" has other than visible ASCII")
      }
      guard id.utf8.count <= configuration.limits.idBytes else { throw .limit("bytes of an id", maximum: configuration.limits.idBytes) }
    }
  }

  private func check(rids: [String], _ kind: TrackKind) throws(NegotiationError) {
    guard !rids.isEmpty else { return }
    guard kind == .video else { throw .invalidAccess("simulcast of audio") }
    guard rids.count <= configuration.limits.rids else { throw .limit("layers of simulcast", maximum: configuration.limits.rids) }
    guard Set(rids).count == rids.count else { throw .invalidAccess("a rid for a second time") }
    for rid in rids {
      // RFC 8852 §3, and the longest that a one-byte header extension carries.
      let isWritten = rid.utf8.allSatisfy { (48...57).contains($0) || (65...90).contains($0) || (97...122).contains($0) }
      guard isWritten, 1...16 ~= rid.utf8.count else { throw .invalidAccess("the rid \"\(rid)\" is not 1 to 16 letters and digits") }
    }
  }
}
