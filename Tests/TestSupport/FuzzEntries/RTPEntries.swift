import MartletPrimitives
import MartletRTP

/// RTP, RTCP and SRTP packets, and the numbers of a viewer.
extension FuzzEntry {
  static let rtp = [rtpPacket, rtcpPacket, srtpPacket, rtxPacket, dependencyDescriptor, sequenceRewriter, repairPacket]

  private static func packet(_ fields: RTPHeaderFields, twoByteForm: Bool) -> [UInt8] {
    var elements = ExtensionElements()
    elements.append(1, "mid")
    elements.append(3, transportSequenceNumber: 7)
    if twoByteForm { elements.append(20, 5, count: 1) }
    var writer = ByteWriter()
    fields.write(csrcs: [1, 2], extensions: elements, into: &writer)
    return writer.bytes + [1, 2, 3, 0, 2]
  }

  private static var rtpSeeds: [[UInt8]] {
    let fields = RTPHeaderFields(payloadType: 96, sequenceNumber: 65_535, timestamp: 1, ssrc: 2, marker: true, hasPadding: true)
    return [packet(fields, twoByteForm: false), packet(fields, twoByteForm: true)]
  }

  private static let rtpPacket = FuzzEntry("rtp", seeds: rtpSeeds) { bytes in
    let span = bytes.span.bytes
    guard let header = try? RTPHeader(parsing: span) else { return }
    require(header.byteCount <= bytes.count, "a header beyond its packet")
    if let payload = try? header.payloadRange(in: span) {
      require(payload.lowerBound == header.byteCount && payload.upperBound <= bytes.count, "a payload beyond its packet")
    }
    var written = ExtensionElements()
    var elements = HeaderExtensionIterator(header, in: span)
    var values: [UInt8: [UInt8]] = [:]
    while let element = elements.next() {
      require(header.extensionRange.lowerBound < element.range.lowerBound, "an element before its extension")
      require(element.range.upperBound <= header.extensionRange.upperBound, "an element beyond its extension")
      // The first of an id counts.
      if values[element.id] == nil { values[element.id] = Array(bytes[element.range]) }
      written.append(element.id, span.extracting(element.range))
    }
    var writer = ByteWriter()
    RTPHeaderFields(header).write(
      csrcs: (0..<header.csrcCount).compactMap { header.csrc($0, in: span) }, extensions: written, into: &writer)
    guard let again = try? RTPHeader(parsing: writer.bytes.span.bytes) else { preconditionFailure("a header that cannot be read back") }
    require(RTPHeaderFields(again) == RTPHeaderFields(header) && again.csrcCount == header.csrcCount, "a header that reads differently")
    for (id, value) in values {
      require(again.element(id, in: writer.bytes.span.bytes).map { Array(writer.bytes[$0]) } == value, "an element that reads differently")
    }
  }

  private static var rtcpSeed: [UInt8] {
    let block = ReportBlock(ssrc: 1, fractionLost: 3, cumulativeLost: -1, extendedHighest: 9)
    let packets: [RTCPPacket] = [
      .senderReport(SenderReport(ssrc: 1, ntp: NTPTime(value: 5), timestamp: 2, packets: 3, bytes: 4, blocks: [block])),
      .receiverReport(ReceiverReport(ssrc: 2, blocks: [block])),
      .sourceDescription([SourceDescription(ssrc: 1, cname: "martlet")]),
      .goodbye(Goodbye(sources: [1], reason: "bye")),
      .application(ApplicationPacket(subtype: 1, ssrc: 2, name: 3, data: [1, 2, 3, 4])),
      .nack(GenericNACK(sender: 1, media: 2, lost: [65_535, 0, 20])),
      .pictureLoss(PictureLossIndication(sender: 1, media: 2)),
      .fullIntraRequest(FullIntraRequest(sender: 1, entries: [.init(ssrc: 2, sequenceNumber: 3)])),
      .bitrateEstimate(ReceiverEstimatedBitrate(sender: 1, bitsPerSecond: 1_000_000, sources: [2])),
      .transportFeedback(
        TransportFeedback(
          sender: 1, media: 2, baseSequenceNumber: 65_535, referenceTime: -1, feedbackCount: 0, deltas: [1, nil, 300, -5, 0, 0, 0, 1])),
      .extendedReport(ExtendedReport(ssrc: 1, referenceTime: NTPTime(value: 1), replies: [.init(ssrc: 1, lastReferenceTime: 2, delay: 3)])),
    ]
    return written(packets)
  }

  private static func written(_ packets: [RTCPPacket]) -> [UInt8] {
    var writer = ByteWriter()
    for packet in packets { packet.write(into: &writer) }
    return writer.bytes
  }

  private static let rtcpPacket = FuzzEntry("rtcp", seeds: [rtcpSeed]) { bytes in
    var limits = RTCPLimits()
    (limits.packets, limits.nackedPackets, limits.feedbackPackets) = (16, 100, 500)
    var packets: [RTCPPacket] = []
    try? RTCPPacket.parse(bytes.span.bytes, limits: limits, into: &packets)
    require(packets.count <= limits.packets, "more packets than the limit")
    // A peer may write the same in more than one way; what we write has one.
    let first = written(packets)
    var again: [RTCPPacket] = []
    require((try? RTCPPacket.parse(first.span.bytes, into: &again)) != nil, "RTCP that cannot be read back")
    require(written(again) == first, "RTCP that reads differently")
    var reader = TransportFeedbackReader(first: 65_530)
    for _ in 0..<20 { _ = reader.send(bytes: 100, now: .zero) }
    var results: [TransportFeedbackReader.Result] = []
    for case .transportFeedback(let feedback) in packets { reader.receive(feedback, into: &results) }
    require(results.count <= 40, "a packet whose fate is told more than twice")
    judge(packets)
  }

  /// What a peer reports, in whatever words, leaves the estimate within its limits.
  private static func judge(_ packets: [RTCPPacket]) {
    let limits = CongestionLimits()
    for mode in [CongestionMode.transportFeedback, .reports] {
      let control = CongestionControl(mode)
      for packet in 0..<20 { _ = control.sent(bytes: 1200, now: .zero + .milliseconds(packet)) }
      for (index, packet) in packets.enumerated() {
        let now = Instant.zero + .milliseconds(100 * index)
        switch packet {
        case .transportFeedback(let feedback): control.receive(feedback, now: now)
        case .bitrateEstimate(let estimate): control.receive(bitrateLimit: estimate.bitsPerSecond, now: now)
        case .receiverReport(let report): for block in report.blocks { control.receive(block, now: now) }
        default: break
        }
        let isBounded = control.estimate.map { (limits.minimum...limits.maximum).contains($0.bitsPerSecond) } ?? true
        require(isBounded, "an estimate beyond its limits")
      }
    }
  }

  private static func session() -> (sender: SRTPMasterKey, profile: SRTPProfile)? {
    let profile = SRTPProfile.aeadAES128GCM
    let key = try? SRTPMasterKey(
      profile, key: [UInt8](repeating: 1, count: profile.keyBytes), salt: [UInt8](repeating: 2, count: profile.saltBytes))
    return key.map { ($0, profile) }
  }

  private static var srtpSeeds: [[UInt8]] {
    guard let (key, profile) = session() else { return [] }
    var sender = SRTPSender(profile, key)
    let plain = packet(RTPHeaderFields(payloadType: 96, sequenceNumber: 1, timestamp: 1, ssrc: 2), twoByteForm: false)
    let headerBytes = plain.count - 5
    var rtp = [UInt8](repeating: 0, count: plain.count + profile.rtpOverhead)
    _ = try? rtp.withUnsafeMutableBytes {
      try sender.protect(
        header: plain.span.bytes.extracting(first: headerBytes), payload: plain.span.bytes.extracting(droppingFirst: headerBytes), into: $0)
    }
    var rtcp = [UInt8](repeating: 0, count: rtcpSeed.count + profile.rtcpOverhead)
    _ = try? rtcp.withUnsafeMutableBytes { try sender.protectControl(rtcpSeed.span.bytes, into: $0) }
    return [[0] + rtp, [1] + rtcp]
  }

  /// The first byte says whether it is RTP or RTCP.
  private static let srtpPacket = FuzzEntry("srtp", seeds: srtpSeeds) { bytes in
    guard let first = bytes.first, let (key, profile) = session() else { return }
    var receiver = SRTPReceiver(profile, key)
    let isControl = first & 1 == 1
    func unprotect() -> Int? {
      var packet = Array(bytes.dropFirst())
      return packet.withUnsafeMutableBytes { try? isControl ? receiver.unprotectControl($0) : receiver.unprotect($0) }
    }
    guard let count = unprotect() else { return }
    require(count == bytes.count - 1 - (isControl ? profile.rtcpOverhead : profile.rtpOverhead), "a length that is not the packet's")
    require(unprotect() == nil, "a replay that is accepted")
  }

  private static let rtxPacket = FuzzEntry("rtx", seeds: rtpSeeds) { bytes in
    var packet = bytes
    let restored = try? packet.withUnsafeMutableBytes { try RTX.restore($0, ssrc: 9, payloadType: 100) }
    guard let restored else { return }
    require(restored.range == 2..<bytes.count, "an original that is not two bytes shorter")
    let original = Array(packet[restored.range])
    guard let header = try? RTPHeader(parsing: original.span.bytes) else { preconditionFailure("an original that cannot be read") }
    require(header.ssrc == 9 && header.payloadType == 100, "an original of another stream")
    require(header.sequenceNumber == restored.sequenceNumber, "an original with another number")
  }

  private static let dependencyDescriptor = FuzzEntry("dependency-descriptor", seeds: [[0xBE, 3, 0xE8, 0xC7, 0xC3, 0, 0, 0]]) { bytes in
    guard let descriptor = try? DependencyDescriptor(parsing: bytes.span.bytes) else { return }
    guard let structure = descriptor.structure else { return }
    require(structure.targetLayers.count == structure.decodeTargets && structure.chains <= structure.decodeTargets, "targets without end")
    _ = try? DependencyDescriptor(parsing: bytes.span.bytes, current: structure)
    require(structure.templates.count <= 64 && (1...32).contains(structure.decodeTargets), "a structure beyond its bounds")
    _ = descriptor.layer(structure)
  }

  /// Each three bytes are a step: what to do, and by how much the source's number moves.
  private static let sequenceRewriter = FuzzEntry("sequence-rewriter", seeds: [[0, 0, 1, 0, 0, 1, 1, 0, 1, 0, 0, 2, 2, 0, 1, 0, 0, 1]]) {
    bytes in
    var rewriter = SequenceRewriter(first: 100, source: 0)
    var owners: [UInt16: SequenceRewriter.Origin] = [:]
    var heads: [UInt16] = [1000, 50_000]
    var current: UInt32 = 0
    for step in stride(from: 0, to: min(bytes.count - 2, 600), by: 3) {
      let source = bytes[step] & 4 == 0 ? current : 1 - current
      // At most 200 steps of 63 numbers: no number of a source comes round.
      heads[Int(source)] &+= UInt16(bytes[step + 2] & 0x3F)
      let number = heads[Int(source)] &- UInt16(bytes[step + 1] & 0x3F)
      switch bytes[step] & 3 {
      case 1: rewriter.leaveOut(number, of: source)
      case 2:
        current = 1 - current
        rewriter.change(to: current)
      default:
        guard let outgoing = rewriter.forward(number, of: source) else { continue }
        let origin = SequenceRewriter.Origin(source: source, sequenceNumber: number)
        require(owners[outgoing] == nil || owners[outgoing] == origin, "a number given to two packets")
        owners[outgoing] = origin
        require(rewriter.origin(of: outgoing) == origin, "a number that does not lead back")
      }
    }
  }

  private static var repairSeed: [UInt8] {
    var encoder = FlexFECEncoder(ssrc: 2, groupSize: 2)
    var writer = ByteWriter()
    for seed in rtpSeeds { _ = encoder.add(seed.span.bytes, number: 65_535, into: &writer) }
    return [0] + writer.bytes
  }

  /// A first byte that says which kind, then a repair packet, beside media that it may protect.
  private static let repairPacket = FuzzEntry("repair", seeds: [repairSeed, [1] + Array(repairSeed.dropFirst())]) { bytes in
    let content = Array(bytes.dropFirst())
    let isFlexible = bytes.first == 0
    let parsed =
      isFlexible ? try? RepairPacket(flexFEC: content.span.bytes) : try? RepairPacket(ulpfec: content.span.bytes, ssrc: 2)
    guard let repair = parsed else { return }
    if isFlexible, repair.mask & 0x3_FFFF == 0 {
      var writer = ByteWriter()
      repair.writeFlexFEC(into: &writer)
      require((try? RepairPacket(flexFEC: writer.bytes.span.bytes)) == repair, "a repair packet that reads differently")
    }
    var decoder = ErasureDecoder()
    let media = rtpSeeds[0]
    for number in repair.numbers.dropFirst() { decoder.receive(media, number: number) }
    decoder.receive(repair)
    while let packet = decoder.pollPacket() {
      require((try? RTPHeader(parsing: packet.span.bytes)) != nil, "a packet that is none")
    }
  }
}
