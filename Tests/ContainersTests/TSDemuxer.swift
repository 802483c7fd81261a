import MartletPrimitives
import Testing

/// Just enough of a transport stream reader to check the muxer: continuity, tables, clocks, PES packets.
struct TSDemuxer {
  struct PES {
    var pid: Int, pts: Int64, dts: Int64
    var isRandomAccess: Bool
    var payload: [UInt8]
  }
  var packets = 0
  var tables: [(pid: Int, section: [UInt8])] = []
  var clocks: [(packet: Int, pid: Int, base: Int64)] = []
  var units: [PES] = []
  private var counters: [Int: Int] = [:]
  private var open: [Int: (bytes: [UInt8], isRandomAccess: Bool)] = [:]
  private var order: [Int] = []

  init(_ bytes: [UInt8]) {
    #expect(bytes.count % 188 == 0)
    for start in stride(from: 0, to: bytes.count - 187, by: 188) { packet(Array(bytes[start..<start + 188])) }
    for pid in open.keys.sorted() { close(pid) }
  }

  private mutating func packet(_ p: [UInt8]) {
    #expect(p[0] == 0x47)
    let (pid, isStart) = (Int(p[1] & 0x1f) << 8 | Int(p[2]), p[1] & 0x40 != 0)
    let (control, counter) = (Int(p[3] >> 4 & 3), Int(p[3] & 15))
    if control & 1 == 1 {
      if let last = counters[pid] { #expect(counter == (last + 1) & 15, "continuity of \(pid)") }
      counters[pid] = counter
    }
    var at = 4
    var isRandomAccess = false
    if control & 2 != 0 {
      if p[4] > 0 {
        isRandomAccess = p[5] & 0x40 != 0
        if p[5] & 0x10 != 0 {
          let base = p[6...9].reduce(Int64(0)) { $0 << 8 | Int64($1) } << 1 | Int64(p[10] >> 7)
          clocks.append((packets, pid, base))
        }
      }
      at += 1 + Int(p[4])
    }
    packets += 1
    guard control & 1 == 1 else { return }
    if pid == 0 || pid == 0x1000 {
      let length = 3 + (Int(p[at + 2] & 15) << 8 | Int(p[at + 3]))
      tables.append((pid, Array(p[at + 1..<at + 1 + length])))
      return
    }
    if isStart {
      close(pid)
      open[pid] = ([], isRandomAccess)
    }
    open[pid]?.bytes += p[at...]
  }

  private mutating func close(_ pid: Int) {
    guard let (bytes, isRandomAccess) = open.removeValue(forKey: pid) else { return }
    #expect(Array(bytes[0..<3]) == [0, 0, 1])
    let length = Int(bytes[4]) << 8 | Int(bytes[5])
    if length > 0 { #expect(length == bytes.count - 6) }
    func time(_ at: Int) -> Int64 {
      let b = bytes[at..<at + 5].map { Int64($0) }
      return (b[0] >> 1 & 7) << 30 | b[1] << 22 | (b[2] >> 1) << 15 | b[3] << 7 | b[4] >> 1
    }
    let pts = time(9)
    units.append(
      PES(
        pid: pid, pts: pts, dts: bytes[7] & 0x40 != 0 ? time(14) : pts, isRandomAccess: isRandomAccess,
        payload: Array(bytes[(9 + Int(bytes[8]))...])))
  }
}
