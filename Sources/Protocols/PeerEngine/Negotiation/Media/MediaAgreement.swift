internal import MartletRTP
internal import MartletSDP

/// One section as both sides describe it.
struct MediaAgreement {
  let local: MediaDescription
  let remote: MediaDescription
  let localDirection: MediaDirection
  let remoteDirection: MediaDirection
  /// Whose description is the answer: its order of codecs counts (RFC 3264 §6.1).
  let isAnsweredHere: Bool
  let limits: NegotiationLimits

  init?(_ index: Int, local: SessionDescription, remote: SessionDescription, isAnsweredHere: Bool, limits: NegotiationLimits) {
    guard local.media.indices.contains(index), remote.media.indices.contains(index) else { return nil }
    (self.local, self.remote) = (local.media[index], remote.media[index])
    guard !self.local.isRejected, !self.remote.isRejected, self.local.mid == self.remote.mid else { return nil }
    (localDirection, remoteDirection) = (local.direction(of: index), remote.direction(of: index))
    self.isAnsweredHere = isAnsweredHere
    self.limits = limits
  }

  var receives: Bool { localDirection.receives && remoteDirection.sends }
  var sends: Bool { localDirection.sends && remoteDirection.receives }

  /// With the payload types that the peer uses to us, which are those of our description.
  private var incomingCodecs: [RTPCodec] { Self.common(local.codecs, remote.codecs, isFirstsOrder: isAnsweredHere) }
  private var outgoingCodecs: [RTPCodec] { Self.common(remote.codecs, local.codecs, isFirstsOrder: !isAnsweredHere) }

  /// Those of `codecs` that `others` have too, in the order of one or the other. RTX and RED come along with what they refer to.
  private static func common(_ codecs: [RTPCodec], _ others: [RTPCodec], isFirstsOrder: Bool) -> [RTPCodec] {
    let matches = codecs.compactMap { codec -> (codec: RTPCodec, place: Int)? in
      let place = others.firstIndex { other in
        // Both sides use the same number as a rule; between equals it tells which is meant.
        other.payloadType == codec.payloadType && codec.answer(with: other) != nil
      }
      return (place ?? others.firstIndex { codec.answer(with: $0) != nil }).map { (codec, $0) }
    }
    let types = Set(matches.map(\.codec.payloadType))
    let kept = matches.filter { match in
      (match.codec.associatedPayloadType.map(types.contains) ?? !match.codec.isNamed("rtx"))
        && match.codec.redundantPayloadTypes.allSatisfy(types.contains)
    }
    return (isFirstsOrder ? kept : kept.sorted { $0.place < $1.place }).map(\.codec)
  }

  func incoming(_ mid: String) -> IncomingSection {
    let layers = local.receivedLayers(limit: limits.rids).filter(remote.sentLayers(limit: limits.rids).contains)
    let uris = Set(remote.extensions.filter { ($0.direction ?? .sendrecv).sends }.map(\.uri))
    return IncomingSection(
      mid: mid, kind: local.kind, codecs: incomingCodecs,
      extensions: HeaderExtensions(local.extensions.filter { uris.contains($0.uri) && ($0.direction ?? .sendrecv).receives }),
      rids: layers, announced: layers.isEmpty ? announced : [])
  }

  /// The sources of the section, each with that of its retransmissions. More than one without simulcast are leftovers.
  private var announced: [IncomingSection.Announced] {
    let pairs = remote.ssrcGroups.filter { $0.semantics == "FID" && $0.ssrcs.count == 2 }
    let repairs = Set(pairs.map { $0.ssrcs[1] })
    guard let ssrc = remote.ssrcs.first(where: { !repairs.contains($0.ssrc) })?.ssrc else { return [] }
    return [IncomingSection.Announced(ssrc: ssrc, rtx: pairs.first { $0.ssrcs[0] == ssrc }?.ssrcs[1])]
  }

  func outgoing(_ transceiver: Transceiver, mid: String, cname: String) -> OutgoingSection? {
    let codecs = outgoingCodecs
    guard let codec = codecs.first(where: \.isPrimary) else { return nil }
    let rtx = codecs.first { $0.associatedPayloadType == codec.payloadType }?.payloadType
    let fec = codecs.first { $0.isNamed("flexfec-03") }?.payloadType
    let uris = Set(local.extensions.filter { ($0.direction ?? .sendrecv).sends }.map(\.uri))
    let encodings = acceptedEncodings(transceiver.sender).map { rid, encoding in
      OutgoingSection.Encoding(
        rid: rid,
        parameters: OutgoingTrack.Parameters(
          mid: mid, ssrc: encoding.ssrc, payloadType: codec.payloadType, rtx: rtx.map { (encoding.rtx, $0) },
          fec: fec.map { (encoding.fec, $0) }, clockRate: codec.clockRate, cname: cname, hasNACK: codec.feedback.contains(.nack)))
    }
    return OutgoingSection(
      transceiver: transceiver.id, mid: mid, kind: transceiver.kind, codecs: codecs,
      extensions: HeaderExtensions(remote.extensions.filter { uris.contains($0.uri) && ($0.direction ?? .sendrecv).receives }),
      encodings: encodings)
  }

  /// RFC 8853 §5.3: a peer that takes no simulcast gets the first encoding alone.
  private func acceptedEncodings(_ sender: TrackSender) -> [(rid: String?, SendEncoding)] {
    let accepted = remote.receivedLayers(limit: limits.rids)
    let layers = sender.encodings.filter { $0.rid.map(accepted.contains) ?? false }
    if !layers.isEmpty { return layers.map { ($0.rid, $0) } }
    return sender.encodings.prefix(1).map { (nil, $0) }
  }
}
