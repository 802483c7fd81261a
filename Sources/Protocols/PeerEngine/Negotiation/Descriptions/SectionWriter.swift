internal import MartletCrypto
internal import MartletICE
internal import MartletSDP

/// Writes what this side says of itself into a section.
struct SectionWriter {
  let local: LocalTransport
  let credentials: ICECredentials
  let setup: SetupRole

  /// Every section of the bundle repeats the transport, with a port. RFC 8829 §5.2.1 would have `bundle-only` and port 0 in all but
  /// the first under max-bundle, which several peers take for a rejection; no peer minds the repetition.
  func writeTransport(to section: inout MediaDescription) {
    section.iceUfrag = credentials.fragment
    section.icePwd = credentials.password
    section.iceOptions = ["trickle"]
    section.fingerprints = local.fingerprints.map { Fingerprint(algorithm: $0.algorithmName, bytes: $0.digest) }
    section.setup = setup
  }

  /// The track and its sources, if the transceiver wants to send, even where the peer does not receive (RFC 8830, RFC 5576, RFC 8829
  /// §5.2.1): by what stands here W3C WebRTC tells whether there is something to negotiate. JSEP needs no `ssrc` lines, but peers
  /// without the mid extension do; the layers of simulcast are told by their rids alone, as browsers have it.
  static func write(_ transceiver: Transceiver, layers: [String], cname: String, to section: inout MediaDescription) {
    guard transceiver.direction.sends else { return }
    let sender = transceiver.sender
    let streams = sender.streams.isEmpty ? ["-"] : sender.streams
    section.msids = streams.map { MediaStreamID(stream: $0, track: sender.trackID) }
    guard layers.isEmpty, let encoding = sender.encodings.first else { return }
    var sources = [encoding.ssrc]
    section.ssrcGroups = []
    func add(_ repair: UInt32, _ semantics: String) {
      section.ssrcGroups.append(SSRCGroup(semantics: semantics, ssrcs: [encoding.ssrc, repair]))
      sources.append(repair)
    }
    if section.codecs.contains(where: { $0.associatedPayloadType != nil }) { add(encoding.rtx, "FID") }
    if section.codecs.contains(where: { $0.isNamed("flexfec-03") }) { add(encoding.fec, "FEC-FR") }
    section.ssrcs = sources.flatMap { ssrc in
      [
        SSRCAttribute(ssrc: ssrc, name: "cname", value: cname),
        SSRCAttribute(ssrc: ssrc, name: "msid", value: "\(streams[0]) \(sender.trackID)"),
      ]
    }
  }

  /// The layers that this side sends and takes (RFC 8853 §5), each by its rid.
  static func writeSimulcast(send: [String], receive: [String], to section: inout MediaDescription) {
    guard !send.isEmpty || !receive.isEmpty else { return }
    section.rids = send.map { RID(id: $0, isSend: true) } + receive.map { RID(id: $0, isSend: false) }
    section.simulcast = Simulcast(
      send: send.map { [Simulcast.Alternative(rid: $0)] }, receive: receive.map { [Simulcast.Alternative(rid: $0)] })
  }
}

extension MediaDescription {
  /// The layers that whoever wrote this sends, the first alternative of each.
  func sentLayers(limit: Int) -> [String] { layers(simulcast?.send, limit) }
  /// Those that it takes.
  func receivedLayers(limit: Int) -> [String] { layers(simulcast?.receive, limit) }

  private func layers(_ streams: [Simulcast.Stream]?, _ limit: Int) -> [String] {
    var seen: Set<String> = []
    let rids = (streams ?? []).compactMap { $0.first?.rid }.filter { seen.insert($0).inserted }
    return Array(rids.prefix(limit))
  }
}
