import MartletPrimitives
import MartletRTP
import Testing

@Suite struct HeaderExtensionTests {
  private func registry() -> HeaderExtensions {
    var extensions = HeaderExtensions()
    for (index, kind) in HeaderExtensionKind.allCases.enumerated() { extensions.register(kind, id: UInt8(index + 1)) }
    return extensions
  }

  // RFC 8285 §5.
  @Test func `ids and kinds are one to one`() {
    var extensions = HeaderExtensions()
    extensions.register(.mid, id: 3)
    extensions.register(.rid, id: 3)
    #expect(extensions.id(of: .mid) == nil)
    extensions.register(.rid, id: 4)
    #expect(extensions.kind(of: 3) == nil)
    #expect(extensions.kind(of: 4) == .rid)
    extensions.register(.mid, id: 15)
    extensions.register(.mid, id: 0)
    #expect(extensions.id(of: .mid) == nil)
    #expect(extensions.kinds == [.rid])
    for kind in HeaderExtensionKind.allCases { #expect(HeaderExtensionKind(uri: kind.uri) == kind) }
    #expect(HeaderExtensionKind(uri: "urn:x") == nil)
  }

  @Test func `values of every kind are read as they were written`() throws {
    let extensions = registry()
    func id(_ kind: HeaderExtensionKind) -> UInt8 { extensions.id(of: kind) ?? 0 }
    var elements = ExtensionElements()
    elements.append(id(.mid), "audio0")
    elements.append(id(.rid), "hi")
    elements.append(id(.transportSequenceNumber), transportSequenceNumber: 65_535)
    AudioLevel(isVoice: true, attenuation: 30).append(to: &elements, id: id(.audioLevel))
    AbsoluteSendTime(.zero + .milliseconds(64_500)).append(to: &elements, id: id(.absoluteSendTime))
    TransmissionOffset(-5).append(to: &elements, id: id(.transmissionOffset))
    VideoOrientation(isFlipped: true, quarterTurns: 3).append(to: &elements, id: id(.videoOrientation))
    PlayoutDelay(minimum: 1, maximum: 4095).append(to: &elements, id: id(.playoutDelay))
    AbsoluteCaptureTime(captured: NTPTime(value: 5), clockOffset: -1).append(to: &elements, id: id(.absoluteCaptureTime))
    let bytes = packet(sequenceNumber: 1, extensions: elements, payload: [1])
    let header = try RTPHeader(parsing: bytes.span.bytes)
    #expect(header.text(of: .mid, in: bytes.span.bytes, extensions) == "audio0")
    #expect(header.text(of: .rid, in: bytes.span.bytes, extensions) == "hi")
    #expect(header.text(of: .repairedRID, in: bytes.span.bytes, extensions) == nil)
    #expect(header.transportSequenceNumber(in: bytes.span.bytes, extensions) == 65_535)
    #expect(header.audioLevel(in: bytes.span.bytes, extensions) == AudioLevel(isVoice: true, attenuation: 30))
    func value(_ kind: HeaderExtensionKind) -> [UInt8] {
      header.value(of: kind, in: bytes.span.bytes, extensions).map { Array(bytes[$0]) } ?? []
    }
    // 64.5 s is half a second after the wrap.
    #expect(AbsoluteSendTime(value(.absoluteSendTime).span.bytes)?.value == 1 << 17)
    #expect(TransmissionOffset(value(.transmissionOffset).span.bytes) == TransmissionOffset(-5))
    #expect(VideoOrientation(value(.videoOrientation).span.bytes) == VideoOrientation(isFlipped: true, quarterTurns: 3))
    #expect(PlayoutDelay(value(.playoutDelay).span.bytes) == PlayoutDelay(minimum: 1, maximum: 4095))
    #expect(
      AbsoluteCaptureTime(value(.absoluteCaptureTime).span.bytes) == AbsoluteCaptureTime(captured: NTPTime(value: 5), clockOffset: -1))
  }

  @Test func `values that are too short are not there`() {
    func isNothing(_ bytes: [UInt8]) -> Bool {
      let span = bytes.span.bytes
      return AbsoluteSendTime(span) == nil && TransmissionOffset(span) == nil && PlayoutDelay(span) == nil
        && AbsoluteCaptureTime(span) == nil
    }
    #expect(isNothing([]) && isNothing([1]) && isNothing([1, 2]))
  }
}

@Suite struct DependencyDescriptorTests {
  /// Appends bit fields, most significant bit first.
  private struct Bits {
    var bits: [UInt8] = []
    mutating func add(_ value: Int, _ count: Int) { for bit in (0..<count).reversed() { bits.append(UInt8(value >> bit & 1)) } }
    var bytes: [UInt8] {
      stride(from: 0, to: bits.count, by: 8).map { at in
        (0..<8).reduce(0) { $0 << 1 | (at + $1 < bits.count ? bits[at + $1] : 0) }
      }
    }
  }

  /// L2T2 with two decode targets and one chain.
  private var keyFrame: [UInt8] {
    var bits = Bits()
    bits.add(0b10, 2)
    bits.add(62, 6)
    bits.add(1000, 16)
    bits.add(0b11000, 5)
    bits.add(62, 6)
    bits.add(1, 5)
    // Layers S0T0, S0T1, S1T0, S1T1.
    for step in [1, 2, 1, 3] { bits.add(step, 2) }
    for _ in 0..<8 { bits.add(2, 2) }
    // Differences: none, one, two, none.
    bits.add(0, 1)
    bits.add(1, 1)
    bits.add(3, 4)
    bits.add(0, 1)
    for _ in 0..<2 {
      bits.add(1, 1)
      bits.add(3, 4)
    }
    bits.add(0, 1)
    bits.add(0, 1)
    // One chain of at most two: ns(3) writes 1 as "10"; ns(1) takes no bits.
    bits.add(0b10, 2)
    for _ in 0..<4 { bits.add(5, 4) }
    bits.add(1, 1)
    for size in [639, 359, 1279, 719] { bits.add(size, 16) }
    bits.add(0b01, 2)
    return bits.bytes
  }

  // AV1 RTP specification, appendix A.8.
  @Test func `a key frame brings the structure, later frames their layer`() throws {
    let key = try DependencyDescriptor(parsing: keyFrame.span.bytes)
    #expect(key.startsFrame && !key.endsFrame && key.frameNumber == 1000)
    let structure = try #require(key.structure)
    #expect(structure.templates.map { [$0.spatial, $0.temporal] } == [[0, 0], [0, 1], [1, 0], [1, 1]])
    #expect(structure.decodeTargets == 2)
    #expect(structure.resolutions.map(\.width) == [640, 1280] && structure.resolutions.map(\.height) == [360, 720])
    #expect(key.activeDecodeTargets == 1)
    #expect(key.layer(structure) == .init(spatial: 0, temporal: 0))
    // Ids count on modulo 64: template 1 is the fourth.
    let later = try DependencyDescriptor(parsing: hex("4103e9").span.bytes, current: structure)
    #expect(!later.startsFrame && later.endsFrame && later.frameNumber == 1001)
    #expect(later.layer(structure) == .init(spatial: 1, temporal: 1))
    let unknown = try DependencyDescriptor(parsing: hex("4203e9").span.bytes, current: structure)
    #expect(unknown.layer(structure) == nil)
  }

  /// Of Chromium, VP9 with L3T3_KEY: the key frame, and the frames that follow it in layers 0 to 2.
  private let chromiumKey = """
    80001ec0081485214eaaaaa8000600004000100002aa80a8000600004000100002a000a800060000400016d549241b5524906d54923157e001974ca86433\
    0e222396eca8655304224390eca87753013f00b3027f016704ff02cf0380
    """

  // AV1 RTP specification A.8.2, A.8.3.
  @Test func `of a real stream the decode targets, their chains and what each frame is to them are read`() throws {
    let key = try DependencyDescriptor(parsing: hex(chromiumKey).span.bytes)
    let structure = try #require(key.structure)
    let layers: [[UInt8]] = structure.targetLayers.map { [$0.spatial, $0.temporal] }
    #expect(layers == [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2], [2, 0], [2, 1], [2, 2]])
    #expect(structure.chains == 3)
    #expect(structure.chainOfTarget == [0, 0, 0, 1, 1, 1, 2, 2, 2])
    #expect(structure.resolutions.map(\.height) == [180, 360, 720])
    let frame = try #require(key.dependencies)
    let ofKey = (0..<9).map { frame.indication(of: $0) }
    #expect(ofKey == Array(repeating: .switch, count: 9))
    #expect(frame.chainDifferences == 0)
    // Later only the lowest layer is sent; what it is to the targets is said with each frame.
    let later = try #require(try DependencyDescriptor(parsing: hex("c200201a20100000").span.bytes, current: structure).dependencies)
    let ofLater = (0..<4).map { later.indication(of: $0) }
    #expect(ofLater == [.notPresent, .discardable, .switch, .notPresent])
    #expect(later.chainDifferences & 0xFF == 2)
  }

  @Test func `one that ends too soon is refused at every byte`() {
    let bytes = keyFrame
    for count in 0..<bytes.count where count != 3 {
      #expect(throws: ParseError.self) { try DependencyDescriptor(parsing: bytes.span.bytes.extracting(first: count)) }
    }
  }

  @Test func `garbage never traps`() {
    var random = RandomSource(seed: 2)
    for _ in 0..<20_000 { _ = try? DependencyDescriptor(parsing: random.bytes(Int.random(in: 0...255, using: &random)).span.bytes) }
    // Templates without end.
    _ = try? DependencyDescriptor(parsing: [UInt8](repeating: 0x80, count: 3).span.bytes)
    _ = try? DependencyDescriptor(parsing: ([0x80, 0, 0, 0x80] + [UInt8](repeating: 0, count: 200)).span.bytes)
  }

  // RFC 8285 §4.2; draft-holmer-rmcat-transport-wide-cc-extensions-01 §2.
  @Test func `the stamp of a packet is read as the extension that it is, whichever it is`() throws {
    var extensions = HeaderExtensions()
    extensions.register(.transportSequenceNumber, id: 3)
    extensions.register(.absoluteSendTime, id: 14)
    var fields = RTPHeaderFields(payloadType: 96, sequenceNumber: 7, timestamp: 9, ssrc: 1, marker: true, hasPadding: true)
    fields.stampID = extensions.stampID(for: .transportFeedback)
    var writer = ByteWriter()
    fields.write(.number(0xABCD), into: &writer)
    #expect(writer.count == fields.stampedByteCount)
    let header = try RTPHeader(parsing: writer.bytes.span.bytes)
    #expect(header.transportSequenceNumber(in: writer.bytes.span.bytes, extensions) == 0xABCD)
    #expect(header.marker && header.hasPadding && header.byteCount == 20)
    fields.stampID = extensions.stampID(for: .reports)
    writer.removeAll()
    fields.write(.sendTime(AbsoluteSendTime(.zero + .seconds(1))), into: &writer)
    let timed = try RTPHeader(parsing: writer.bytes.span.bytes)
    let found = timed.value(of: .absoluteSendTime, in: writer.bytes.span.bytes, extensions)
    let value = try #require(found)
    #expect(AbsoluteSendTime(writer.bytes.span.bytes.extracting(value)) == AbsoluteSendTime(.zero + .seconds(1)))
  }

  @Test func `what is not negotiated, or only with a large id, is no stamp`() {
    var extensions = HeaderExtensions()
    #expect(extensions.stampID(for: .transportFeedback) == 0 && CongestionMode([extensions]) == .reports)
    extensions.register(.transportSequenceNumber, id: 20)
    #expect(extensions.stampID(for: .transportFeedback) == 0 && CongestionMode([extensions]) == .reports)
    extensions.register(.transportSequenceNumber, id: 5)
    #expect(CongestionMode([HeaderExtensions(), extensions]) == .transportFeedback)
  }
}
