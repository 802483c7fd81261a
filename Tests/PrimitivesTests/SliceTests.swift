import MartletPrimitives
import Testing

@Suite struct SliceTests {
  // What the thread sanitizer found: an array without bytes is the one storage of all such arrays.
  @Test func `copies of nothing are made on many threads at once`() async {
    let sizes = await withTaskGroup { group in
      for _ in 0..<8 {
        group.addTask { (0..<1000).reduce(0) { sum, _ in sum + [UInt8](copying: [UInt8]().span.bytes).count } }
      }
      return await group.reduce(0, +)
    }
    #expect(sizes == 0)
    #expect([UInt8](copying: [UInt8]([7, 8]).span.bytes) == [7, 8])
  }
}
