package import MartletPrimitives

/// What a sender says about its stream, and about those it receives (RFC 3550 §6.4.1).
package struct SenderReport: Equatable, Sendable {
  package var ssrc: UInt32
  package var ntp: NTPTime
  /// The same instant as `ntp` on the stream's media clock.
  package var timestamp: UInt32
  package var packets: UInt32
  /// Of payload, without headers and padding.
  package var bytes: UInt32
  package var blocks: [ReportBlock]

  package init(ssrc: UInt32, ntp: NTPTime, timestamp: UInt32, packets: UInt32, bytes: UInt32, blocks: [ReportBlock] = []) {
    self.ssrc = ssrc
    self.ntp = ntp
    self.timestamp = timestamp
    self.packets = packets
    self.bytes = bytes
    self.blocks = blocks
  }

  init(parsing body: RawSpan, blocks count: Int) throws(ParseError) {
    var reader = ByteReader(body)
    ssrc = try reader.u32()
    ntp = NTPTime(value: try reader.u64())
    timestamp = try reader.u32()
    packets = try reader.u32()
    bytes = try reader.u32()
    blocks = []
    for _ in 0..<count { blocks.append(try ReportBlock(parsing: &reader)) }
  }

  /// Blocks beyond 31 follow in receiver reports (§6.4.2).
  package func write(into writer: inout ByteWriter) {
    let first = blocks.prefix(ReportBlock.maximumPerPacket)
    let start = writer.startControlPacket()
    writer.u32(ssrc)
    writer.u64(ntp.value)
    writer.u32(timestamp)
    writer.u32(packets)
    writer.u32(bytes)
    for block in first { block.write(into: &writer) }
    writer.finishControlPacket(from: start, type: RTCPType.senderReport, count: first.count)
    guard blocks.count > first.count else { return }
    ReceiverReport(ssrc: ssrc, blocks: Array(blocks.dropFirst(first.count))).write(into: &writer)
  }
}

/// What someone says about the streams it receives (RFC 3550 §6.4.2).
package struct ReceiverReport: Equatable, Sendable {
  /// Who reports.
  package var ssrc: UInt32
  package var blocks: [ReportBlock]

  package init(ssrc: UInt32, blocks: [ReportBlock] = []) {
    self.ssrc = ssrc
    self.blocks = blocks
  }

  init(parsing body: RawSpan, blocks count: Int) throws(ParseError) {
    var reader = ByteReader(body)
    ssrc = try reader.u32()
    blocks = []
    for _ in 0..<count { blocks.append(try ReportBlock(parsing: &reader)) }
  }

  /// As many packets as the blocks need: 31 fit one.
  package func write(into writer: inout ByteWriter) {
    var rest = blocks[...]
    repeat {
      let part = rest.prefix(ReportBlock.maximumPerPacket)
      let start = writer.startControlPacket()
      writer.u32(ssrc)
      for block in part { block.write(into: &writer) }
      writer.finishControlPacket(from: start, type: RTCPType.receiverReport, count: part.count)
      rest = rest.dropFirst(part.count)
    } while !rest.isEmpty
  }
}
