import MartletPrimitives
import TestSupport
import Testing

@testable import MartletIO

@Suite struct ReplyQueueTests {
  @Test func `slices leave in order, however many bytes leave at a time`() {
    var random = SeededRandom(seed: 5)
    var queue: ReplyQueue?
    var (wanted, left): ([UInt8], [UInt8]) = ([], [])
    var next: UInt8 = 0
    for _ in 0..<3000 {
      if Bool.random(using: &random) {
        let bytes = (0..<Int.random(in: 1...20, using: &random)).map { _ -> UInt8 in
          next &+= 1
          return next
        }
        wanted += bytes
        ReplyQueue.append(Slice(bytes), to: &queue)
      } else if let waiting = queue {
        var bytes: [UInt8] = []
        for index in 0..<waiting.count { bytes += waiting.slice(index).dropFirst(index == 0 ? waiting.offset : 0).array }
        let isRight = bytes.count == waiting.bytes && bytes == Array(wanted.dropFirst(left.count))
        #expect(isRight)
        let count = Int.random(in: 1...max(1, waiting.bytes), using: &random)
        left += bytes.prefix(count)
        waiting.drop(count)
        if waiting.count == 0 { queue = nil }
      }
    }
    let isSame = left == Array(wanted.prefix(left.count)) && left.count > 10_000
    #expect(isSame)
  }
}
