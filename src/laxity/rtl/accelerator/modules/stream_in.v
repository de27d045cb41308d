// Takes one image from a stream: a word of ROWS codes per beat, channel blocks outermost, then rows, then columns.
// Lanes that carry no channel are filled with the code of zero. A beat count that does not fit tlast is an error that
// stays until reset.
module stream_in #(
  parameter ROWS = 2,
  parameter CODE_BITS = 8,
  parameter BEAT_BITS = 8,       // bits of a lane of the stream, a multiple of 8
  parameter WORDS = 1,           // beats of an image
  parameter FULL_WORDS = 1,      // beats before the block in which only some lanes carry channels
  parameter LAST_LANES = 2,      // lanes that carry channels in that block
  parameter [31:0] ZERO = 0,
  parameter ADDRESS_BITS = 1
) (
  input wire clk,
  input wire rst,
  input wire enable,
  input wire [ROWS*BEAT_BITS-1:0] tdata,
  input wire tvalid,
  input wire tlast,
  output wire tready,
  output wire [ROWS-1:0] write,
  output reg [ADDRESS_BITS-1:0] address,
  output wire [ROWS*CODE_BITS-1:0] data,
  output wire loaded,
  output reg framing_error
);
  wire taken = tvalid & tready;
  wire ending = address == WORDS - 1;
  wire partial = address >= FULL_WORDS;

  assign tready = enable;
  assign write = {ROWS{taken}};
  assign loaded = taken & ending;

  genvar i;
  generate
    for (i = 0; i < ROWS; i = i + 1) begin : lane
      if (i < LAST_LANES) begin : used
        assign data[i*CODE_BITS+:CODE_BITS] = tdata[i*BEAT_BITS+:CODE_BITS];
      end else begin : filled
        assign data[i*CODE_BITS+:CODE_BITS] = partial ? ZERO[CODE_BITS-1:0] : tdata[i*BEAT_BITS+:CODE_BITS];
      end
    end
  endgenerate

  always @(posedge clk) begin
    if (rst) begin
      address <= 0;
      framing_error <= 1'b0;
    end else if (taken) begin
      address <= ending ? 0 : address + 1'b1;
      if (tlast != ending) framing_error <= 1'b1;
    end
  end
endmodule
