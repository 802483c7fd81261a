/// Cuts PES packets and sections into transport packets of 188 bytes (ISO/IEC 13818-1 §2.4.3): continuity counters,
/// adaptation fields, stuffing.
struct TSPacketWriter: Sendable {
  static let packetSize = 188
  private static let payloadSize = 184

  /// What the adaptation field of the first packet says.
  struct Start {
    /// The base of the program clock reference: 33 bits of 90 kHz.
    var clock: UInt64?
    var isRandomAccess = false
    var isDiscontinuity = false
    var flags: UInt8 { (isDiscontinuity ? 0x80 : 0) | (isRandomAccess ? 0x40 : 0) | (clock == nil ? 0 : 0x10) }
  }

  /// The next continuity counter of each PID in use, which are few.
  private var counters: [(pid: UInt16, next: UInt8)] = []

  /// Appends `unit`, which begins a payload unit, as whole packets.
  mutating func append(_ unit: [UInt8], pid: UInt16, start: Start, to output: inout [UInt8]) {
    let slot = counter(of: pid)
    var offset = 0
    unit.withUnsafeBytes { bytes in
      while offset < bytes.count {
        let isFirst = offset == 0
        let flags = isFirst ? start.flags : 0
        // Length and flags, and the clock.
        let adaptation = flags == 0 ? 0 : (flags & 0x10 == 0 ? 2 : 8)
        let taken = min(bytes.count - offset, TSPacketWriter.payloadSize - adaptation)
        let stuffed = TSPacketWriter.payloadSize - taken
        appendHeader(pid, isStart: isFirst, control: stuffed == 0 ? 1 : 3, counter: counters[slot].next, to: &output)
        counters[slot].next = (counters[slot].next + 1) & 15
        if stuffed > 0 { appendAdaptation(length: stuffed - 1, flags: flags, clock: start.clock, to: &output) }
        output.append(contentsOf: UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + taken]))
        offset += taken
      }
    }
  }

  /// Appends a packet that carries nothing but a clock. Its counter does not move (§2.4.3.3).
  mutating func appendClock(pid: UInt16, start: Start, to output: inout [UInt8]) {
    let slot = counter(of: pid)
    appendHeader(pid, isStart: false, control: 2, counter: (counters[slot].next + 15) & 15, to: &output)
    appendAdaptation(length: 183, flags: start.flags, clock: start.clock, to: &output)
  }

  /// Appends a section in one packet; it must not exceed 183 bytes.
  mutating func appendSection(_ section: [UInt8], pid: UInt16, to output: inout [UInt8]) {
    let slot = counter(of: pid)
    appendHeader(pid, isStart: true, control: 1, counter: counters[slot].next, to: &output)
    counters[slot].next = (counters[slot].next + 1) & 15
    output.append(0)
    output.append(contentsOf: section)
    output.append(contentsOf: repeatElement(0xff, count: max(0, TSPacketWriter.payloadSize - 1 - section.count)))
  }

  private mutating func counter(of pid: UInt16) -> Int {
    if let slot = counters.firstIndex(where: { $0.pid == pid }) { return slot }
    counters.append((pid, 0))
    return counters.count - 1
  }

  private func appendHeader(_ pid: UInt16, isStart: Bool, control: UInt8, counter: UInt8, to output: inout [UInt8]) {
    output.append(0x47)
    output.append((isStart ? 0x40 : 0) | UInt8(pid >> 8 & 0x1f))
    output.append(UInt8(pid & 0xff))
    output.append(control << 4 | counter)
  }

  /// `length` is what the field's own first byte says: 0 is that byte alone.
  private func appendAdaptation(length: Int, flags: UInt8, clock: UInt64?, to output: inout [UInt8]) {
    output.append(UInt8(length))
    guard length > 0 else { return }
    output.append(flags)
    var written = 1
    if flags & 0x10 != 0, let clock {
      // 33 bits of base, 6 reserved ones, 9 bits of extension, which is always 0 here.
      for shift in [25, 17, 9, 1] as [UInt64] { output.append(UInt8(truncatingIfNeeded: clock >> shift)) }
      output.append(UInt8(clock & 1) << 7 | 0x7e)
      output.append(0)
      written += 6
    }
    output.append(contentsOf: repeatElement(0xff, count: length - written))
  }
}
