import MartletPrimitives
import MartletRTP
import TestSupport
import Testing

@Suite struct ErasureDecoderTests {
  /// Packets of unlike sizes; every third has an extension.
  private func media(_ count: Int, from first: UInt16 = 100, seed: UInt64 = 1) -> [[UInt8]] {
    var random = RandomSource(seed: seed)
    return (0..<count).map { index in
      var extensions = ExtensionElements()
      if index % 3 == 0 { extensions.append(1, "mid") }
      return packet(
        sequenceNumber: first &+ UInt16(index), timestamp: UInt32(index / 4) * 3000, extensions: extensions,
        payload: random.bytes(1 + Int(random.next() % 1100)))
    }
  }

  private func number(_ packet: [UInt8]) -> UInt16 { UInt16(packet[2]) << 8 | UInt16(packet[3]) }

  private func repairs(for media: [[UInt8]], groupSize: Int, interleaving: Int = 1) throws -> [RepairPacket] {
    var encoder = FlexFECEncoder(ssrc: 0x1234_5678, groupSize: groupSize, interleaving: interleaving)
    var made: [RepairPacket] = []
    for packet in media {
      var writer = ByteWriter()
      if encoder.add(packet.span.bytes, number: number(packet), into: &writer) {
        made.append(try RepairPacket(flexFEC: writer.bytes.span.bytes))
      }
    }
    return made
  }

  private func recovered(_ decoder: inout ErasureDecoder) -> [[UInt8]] {
    var packets: [[UInt8]] = []
    while let packet = decoder.pollPacket() { packets.append(packet) }
    return packets
  }

  // draft-ietf-payload-flexible-fec-scheme-03 §6.3
  @Test(arguments: [UInt16(100), 65_530]) func `any one packet of a group comes back as it was, over the end of the numbers too`(
    _ first: UInt16
  ) throws {
    let media = media(10, from: first)
    let repair = try #require(try repairs(for: media, groupSize: 10).first)
    #expect(Array(repair.numbers) == media.map(number))
    for lost in media.indices {
      var decoder = ErasureDecoder()
      for (index, packet) in media.enumerated() where index != lost { decoder.receive(packet, number: number(packet)) }
      decoder.receive(repair)
      #expect(recovered(&decoder) == [media[lost]])
    }
  }

  @Test func `of two that are lost one is enough for the other`() throws {
    let media = media(10)
    var decoder = ErasureDecoder()
    for packet in media[2...] { decoder.receive(packet, number: number(packet)) }
    decoder.receive(try repairs(for: media, groupSize: 10)[0])
    #expect(recovered(&decoder) == [])
    let late = media[0]
    decoder.receive(late, number: number(late))
    #expect(recovered(&decoder) == [media[1]])
    #expect(decoder.recoveredCount == 1)
  }

  @Test func `interleaved groups bring back a burst`() throws {
    let media = media(12)
    let repairs = try repairs(for: media, groupSize: 4, interleaving: 3)
    #expect(repairs.count == 3)
    var decoder = ErasureDecoder()
    for repair in repairs { decoder.receive(repair) }
    for (index, packet) in media.enumerated() where !(4...6).contains(index) {
      decoder.receive(packet, number: number(packet))
    }
    #expect(recovered(&decoder).sorted { number($0) < number($1) } == Array(media[4...6]))
  }

  /// RFC 5109 §7.3, §7.4, written out: with the short mask, and with the long one.
  private func ulpfec(_ media: [[UInt8]], isLong: Bool) -> [UInt8] {
    var parity = Parity()
    var mask: UInt64 = 0
    for packet in media {
      parity.toggle(packet.span.bytes)
      mask |= 1 << UInt64(63 - Int(number(packet) &- number(media[0])))
    }
    var writer = ByteWriter()
    writer.u16((isLong ? 0x4000 : 0) | parity.flags)
    writer.u16(number(media[0]))
    writer.u32(parity.timestamp)
    writer.u16(parity.length)
    writer.u16(UInt16(parity.payload.count))
    writer.u16(UInt16(truncatingIfNeeded: mask >> 48))
    if isLong { writer.u32(UInt32(truncatingIfNeeded: mask >> 16)) }
    writer.append(parity.payload)
    return writer.bytes
  }

  // RFC 5109 §8.2
  @Test(arguments: [false, true]) func `ULPFEC brings back what its mask names`(_ isLong: Bool) throws {
    let all = media(40)
    let media = isLong ? [all[0], all[17], all[39]] : [all[0], all[3], all[15]]
    let content = ulpfec(media, isLong: isLong)
    let repair = try RepairPacket(ulpfec: content.span.bytes, ssrc: 0x1234_5678)
    #expect(Array(repair.numbers) == media.map(number))
    var decoder = ErasureDecoder()
    decoder.receive(repair)
    for packet in [media[0], media[2]] { decoder.receive(packet, number: number(packet)) }
    #expect(recovered(&decoder) == [media[1]])
  }

  @Test func `what a sender fills in late does not spoil the parity`() throws {
    var extensions = HeaderExtensions()
    extensions.register(.transportSequenceNumber, id: 5)
    func sent(_ number: UInt16, transport: UInt16) -> [UInt8] {
      var elements = ExtensionElements()
      elements.append(5, transportSequenceNumber: transport)
      return packet(sequenceNumber: number, extensions: elements, payload: [1, 2, 3])
    }
    let protected = [sent(1, transport: 0), sent(2, transport: 0)]
    var arrived = sent(1, transport: 777)
    try arrived.withUnsafeMutableBytes { buffer in
      let header = try RTPHeader(parsing: UnsafeRawBufferPointer(buffer).bytes)
      header.clearMutableExtensions(buffer, extensions)
    }
    #expect(arrived == protected[0])
    var decoder = ErasureDecoder()
    decoder.receive(arrived, number: 1)
    decoder.receive(try repairs(for: protected, groupSize: 2)[0])
    #expect(recovered(&decoder) == [protected[1]])
  }

  @Test func `a lossy stream with one repair packet for four loses only what two of a group lost`() throws {
    for seed in seeds(20) {
      var random = RandomSource(seed: seed)
      let media = media(120, seed: seed)
      let repairs = try repairs(for: media, groupSize: 4)
      var decoder = ErasureDecoder()
      var (present, back) = (Set<UInt16>(), Set<UInt16>())
      for (index, packet) in media.enumerated() {
        if random.next() % 10 != 0 {
          present.insert(number(packet))
          decoder.receive(packet, number: number(packet))
        }
        if index % 4 == 3 { decoder.receive(repairs[index / 4]) }
        for packet in recovered(&decoder) {
          back.insert(number(packet))
          #expect(packet == media[Int(number(packet) - 100)])
        }
      }
      for group in repairs {
        let lost = group.numbers.filter { !present.contains($0) }
        #expect(lost.count != 1 || back.contains(lost[0]))
      }
    }
  }

  // Hostile

  @Test func `a repair packet that is cut anywhere is refused or makes nothing that is no packet`() throws {
    let media = media(3)
    var writer = ByteWriter()
    try repairs(for: media, groupSize: 3)[0].writeFlexFEC(into: &writer)
    let (flexible, uneven) = (writer.bytes, ulpfec(media, isLong: true))
    for count in 0..<flexible.count {
      guard let repair = try? RepairPacket(flexFEC: flexible.span.bytes.extracting(0..<count)) else { continue }
      var decoder = ErasureDecoder()
      for packet in media.dropLast() { decoder.receive(packet, number: number(packet)) }
      decoder.receive(repair)
      for packet in recovered(&decoder) { #expect((try? RTPHeader(parsing: packet.span.bytes)) != nil) }
    }
    for count in 0..<uneven.count {
      #expect(throws: ParseError.self) { try RepairPacket(ulpfec: uneven.span.bytes.extracting(0..<count), ssrc: 1) }
    }
  }

  @Test func `floods of repair packets that wait stay within the limits, and old ones are forgotten`() throws {
    var decoder = ErasureDecoder()
    for base in 0..<2000 as Range<UInt16> {
      decoder.receive(RepairPacket(ssrc: 1, base: base, mask: 0xFFFF << 48, parity: Parity()))
    }
    let media = media(300, from: 1990)
    for packet in media { decoder.receive(packet, number: number(packet)) }
    #expect(recovered(&decoder).count <= ErasureDecoder.Limits().repairs)
    decoder.receive(RepairPacket(ssrc: 1, base: 1, mask: 3 << 62, parity: Parity()))
    #expect(recovered(&decoder) == [])
  }

  // RFC 2198 §3
  @Test func `RED comes off a packet of video`() throws {
    let inner = packet(sequenceNumber: 7, payloadType: 98, payload: [9, 8, 7])
    var wrapped = packet(sequenceNumber: 7, payloadType: 116, payload: [98, 9, 8, 7])
    let opened = try wrapped.withUnsafeMutableBytes { try VideoRED.open($0) }
    #expect(opened.payloadType == 98)
    #expect(Array(wrapped[opened.range]) == inner)
    var several = packet(sequenceNumber: 7, payloadType: 116, payload: [0x80 | 98, 0, 0, 1, 98, 9, 8])
    #expect(throws: ParseError.self) { try several.withUnsafeMutableBytes { try VideoRED.open($0) } }
    var empty = packet(sequenceNumber: 7, payloadType: 116, payload: [])
    #expect(throws: ParseError.self) { try empty.withUnsafeMutableBytes { try VideoRED.open($0) } }
  }
}
